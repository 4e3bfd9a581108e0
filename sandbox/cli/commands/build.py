"""`sandbox build`: an image from a Dockerfile and a directory."""

from __future__ import annotations

from functools import partial

from sandbox.cli.build_options import debug as build_debug
from sandbox.cli.build_options import progress as build_progress
from sandbox.cli.build_options import refusals as build_refusals
from sandbox.cli.build_options import results as build_results
from sandbox.cli.command import Command, Context, Invocation
from sandbox.cli.flags import option
from sandbox.errors import UsageError


def build(invocation: Invocation) -> int:
    """Print the image's ID where `-q` asks for it; progress and errors go to standard error."""
    # the language, and what builds, are for this command alone
    from sandbox.builder.build_image import BuildOptions, build_image
    from sandbox.builder.entitlements import read_entitlements
    from sandbox.builder.results.cache_transfer import read_cache_from, read_cache_to
    from sandbox.builder.sources.named_contexts import read_contexts
    from sandbox.builder.sources.ssh_agents import read_ssh
    from sandbox.builder.subrequests import answer_call, read_call
    from sandbox.cli.build_options.values import read_platform, read_secret, read_settings
    from sandbox.cli.output.table import render_table
    from sandbox.container.network_holding import held_network
    from sandbox.docker_proxies import find_proxies
    from sandbox.dockerfile.errors import DockerfileError

    build_refusals.refuse_impossible(invocation)
    build_debug.check_terminal(invocation)
    context = invocation.context
    network = invocation.text("network") or "default"
    network = "default" if network == "bridge" else network
    display = build_progress.choose_display(invocation)
    # as buildx does: what makes builds reproducible is given on
    epoch = {key: context.env[key] for key in ("SOURCE_DATE_EPOCH",) if key in context.env}
    arguments = {**epoch, **_pairs(invocation.texts("build-arg"), context)}
    options = BuildOptions(
        invocation.arguments[0],
        invocation.text("file") or "",
        context.cwd,
        arguments,
        invocation.text("target") or "",
        no_cache=invocation.flag("no-cache"),
        no_cache_stages=_names(invocation.texts("no-cache-filter")),
        pull=invocation.flag("pull"),
        platform=read_platform(invocation.text("platform") or ""),
        settings=read_settings(invocation),
        labels=_labels(invocation.texts("label")),
        proxies=find_proxies(context.env, context.note),
        network=network,
        hold=partial(held_network, context.for_operations()),
        entitlements=read_entitlements(invocation.texts("allow"), network),
        export=build_results.read_export(invocation, arguments),
        cache_from=tuple(read_cache_from(text, context.cwd) for text in invocation.texts("cache-from")),
        cache_to=tuple(read_cache_to(text, context.cwd) for text in invocation.texts("cache-to")),
        secrets=dict(read_secret(text, context) for text in invocation.texts("secret")),
        contexts=read_contexts(invocation.texts("build-context")),
        ssh=tuple(read_ssh(text, context.cwd, context.env) for text in invocation.texts("ssh")),
        events=display,
        before_shell=build_debug.announcer(invocation, display),
    )
    call = read_call(invocation.text("call") or "", check=invocation.flag("check"))
    if call.method != "build":
        answer = answer_call(context.find_paths(), context.env, options, call, render_table)
        context.print(answer.text)
        return answer.status
    try:
        exported = build_image(context.find_paths(), context.env, options)
    except DockerfileError as error:
        if not error.shown:
            raise
        from sandbox.cli.exit_statuses import exit_status

        return exit_status(error)
    finally:
        display.close()
    build_results.write_results(invocation, exported)
    return 0


def _pairs(texts: tuple[str, ...], context: Context) -> dict[str, str]:
    """NAME=VALUE, or NAME with its value from the environment; one that is not set there is not given."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name:
            raise UsageError(f"invalid --build-arg {text!r}", mend="--build-arg NAME=VALUE")
        if equals:
            found[name] = value
        elif name in context.env:
            found[name] = context.env[name]
    return found


def _names(texts: tuple[str, ...]) -> frozenset[str]:
    """Names of stages, several in one value by commas."""
    return frozenset(name.strip().lower() for text in texts for name in text.split(",") if name.strip())


def _labels(texts: tuple[str, ...]) -> dict[str, str]:
    return dict(text.partition("=")[::2] for text in texts)


COMMANDS: tuple[Command, ...] = (
    Command(
        "image build",
        "Build an image from a Dockerfile",
        "[OPTIONS] PATH|URL|-",
        (
            option("-f --file", "text", 'Name of the Dockerfile (default: "PATH/Dockerfile")', "string"),
            option("--build-arg", "list", "Set build-time variables", "stringArray"),
            option("--target", "text", "Set the target build stage to build", "string"),
            option("--no-cache", "flag", "Do not use cache when building the image"),
            option("--no-cache-filter", "list", "Do not cache specified stages", "stringArray"),
            option("--pull", "flag", "Always attempt to pull all referenced images"),
            option("--cache-from", "list", "External cache sources (e.g., type=local,src=path/to/dir)", "stringArray"),
            option(
                "--cache-to", "list", "Cache export destinations (e.g., type=local,dest=path/to/dir)", "stringArray"
            ),
            option("--platform", "text", "Set target platform for build", "string"),
            option("--add-host", "list", 'Add a custom host-to-IP mapping ("host:ip")', "strings"),
            option("--shm-size", "text", 'Shared memory size for build containers ("/dev/shm")', "bytes"),
            option("--ulimit", "list", "Ulimit options", "ulimit"),
            option("--label", "list", "Set metadata for an image", "stringArray"),
            option(
                "--network",
                "text",
                "Networking mode for RUN (default, none, host, NETWORK, container:ID)",
                "string",
                "default",
            ),
            option(
                "--allow", "list", "Let RUN --network=host of the Dockerfile have that (network.host)", "stringArray"
            ),
            *build_progress.OPTIONS,
            *build_debug.OPTIONS,
            option("--check", "flag", 'Shorthand for "--call=check": lint the Dockerfile, build nothing'),
            option("--call", "text", 'Method for evaluating build ("check", "outline", "targets")', "string"),
            option("--secret", "list", 'Secret to expose to the build ("id=mysecret[,src=/local/secret]")', "list"),
            option("--ssh", "list", 'SSH agent socket or keys to expose ("default|ID[=SOCKET|KEY]")', "list"),
            option("--build-context", "list", "Additional build contexts (e.g., NAME=PATH)", "stringArray"),
            *build_results.OPTIONS,
            *build_refusals.OPTIONS,
        ),
        build,
        least=1,
        most=1,
        examples=(
            "sandbox build -t app .",
            "sandbox build -t tools - < Dockerfile",
            "sandbox build --check .",
            "sandbox build -o type=local,dest=out --target binaries .",
            "sandbox build -t registry.example/app:1 --push .",
            "sandbox build https://github.com/owner/app.git#v1:docker",
        ),
    ),
)
