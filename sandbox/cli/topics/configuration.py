"""`sandbox help configuration`."""

TEXT = """\
Nothing has to be set. What can be is in ~/.config/sandbox/config.toml, read anew by every command; a key that is not
known is an error that names its line.

    [registries]
    insecure = ["registry.lan:5000"]                    plain HTTP, or a certificate that nobody vouches for
    concurrency = 8                                     layers that are on their way at once
    [registries.mirrors]
    "docker.io" = ["https://mirror.lan"]                asked before the registry itself
    [registries.ca]
    "registry.lan:5000" = "~/lan.pem"                   the authority of one registry
    [storage]
    driver = "overlay"                                  or fuse, copy; the best that works where it is not set
    [networks]
    default-address-pools = [{base = "10.10.0.0/16", size = 24}]    what networks without --subnet are parts of

Each key has a variable that goes before the file: SANDBOX_STORAGE_DRIVER, SANDBOX_REGISTRIES_CONCURRENCY,
SANDBOX_REGISTRIES_INSECURE, SANDBOX_REGISTRIES_REDIRECTS (with commas between), SANDBOX_REGISTRIES_MIRRORS,
SANDBOX_REGISTRIES_CA (docker.io=https://mirror.lan,…) and SANDBOX_NETWORKS_DEFAULT_ADDRESS_POOLS
(base=10.10.0.0/16,size=24;…).

    XDG_DATA_HOME, XDG_CONFIG_HOME, XDG_RUNTIME_DIR     where everything lies
    DOCKER_CONFIG, --config                             the directory of config.json: credentials, proxies of containers
    DOCKER_DEFAULT_PLATFORM                             the platform that pull, run and build want
    BUILDKIT_PROGRESS                                   what build --progress says
    HTTP_PROXY, HTTPS_PROXY, NO_PROXY                   how registries are reached
    NO_COLOR                                            no colours; there are none in a pipe, or where TERM is dumb

    sandbox info                                        says which places are used
"""
