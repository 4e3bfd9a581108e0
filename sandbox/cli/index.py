"""Which module holds which command: so that a command imports its own module and no other.

A module below `commands/` offers `COMMANDS: tuple[Command, ...]`.
"""

from __future__ import annotations

#: "noun verb" -> (module, summary), for every command; verbs of one noun may lie in several modules
COMMANDS: dict[str, tuple[str, str]] = {
    "container run": ("run", "Create and run a new container from an image"),
    "container create": ("run", "Create a new container"),
    "container exec": ("exec", "Execute a command in a running container"),
    "container ls": ("container_list", "List containers"),
    "container start": ("container", "Start one or more stopped containers"),
    "container stop": ("container", "Stop one or more running containers"),
    "container restart": ("container", "Restart one or more containers"),
    "container kill": ("container", "Kill one or more running containers"),
    "container rm": ("container", "Remove one or more containers"),
    "container wait": ("container", "Block until containers stop, then print their exit codes"),
    "container logs": ("container_output", "Fetch the logs of a container"),
    "container attach": ("container_output", "Attach to a running container"),
    "container inspect": ("container_list", "Display detailed information on containers"),
    "container rename": ("container", "Rename a container"),
    "container port": ("container_list", "List port mappings of a container"),
    "container export": ("container_files", "Export a container's file system as a tar archive"),
    "image build": ("build", "Build an image from a Dockerfile"),
    "image ls": ("image", "List images"),
    "image pull": ("image_transfer", "Download an image from a registry"),
    "image push": ("image_transfer", "Upload an image to a registry"),
    "image rm": ("image", "Remove one or more images"),
    "image tag": ("image", "Create a tag that refers to an image"),
    "image inspect": ("image", "Display detailed information on images"),
    "image history": ("image", "Show the history of an image"),
    "image slim-report": ("image_slim", "Show what a smaller image could leave out"),
    "image load": ("image_transfer", "Load an image from a tar archive or standard input"),
    "image save": ("image_transfer", "Save one or more images to a tar archive"),
    "image import": ("image_transfer", "Make an image of the contents of a tar archive"),
    "builder du": ("builder_cache", "Show what the build cache takes"),
    "builder parse": ("builder", "Show how a Dockerfile is understood, as JSON"),
    "builder prune": ("builder_cache", "Remove build cache"),
    "system info": ("system", "Display what this machine gives and what is in use"),
    "system version": ("system", "Show the version"),
    "container prune": ("prune", "Remove all stopped containers"),
    "image prune": ("prune", "Remove unused images"),
    "system prune": ("prune", "Remove unused data"),
    "system df": ("prune", "Show disk usage"),
    "system check": ("upkeep", "Check everything stored against everything recorded"),
    "system doctor": ("doctor", "Try what each feature needs, and say how to mend what is missing"),
    "system inspect": ("system", "Return low-level information on containers and images"),
    "system login": ("login", "Log in to a registry"),
    "system logout": ("login", "Log out from a registry"),
}

#: what Docker's users type at the top level -> the command
ALIASES: dict[str, str] = {
    "run": "container run",
    "create": "container create",
    "exec": "container exec",
    "ps": "container ls",
    "start": "container start",
    "stop": "container stop",
    "restart": "container restart",
    "kill": "container kill",
    "rm": "container rm",
    "wait": "container wait",
    "logs": "container logs",
    "attach": "container attach",
    "rename": "container rename",
    "port": "container port",
    "export": "container export",
    "container list": "container ls",
    "container ps": "container ls",
    "container remove": "container rm",
    "build": "image build",
    "builder build": "image build",
    "buildx build": "image build",
    "buildx du": "builder du",
    "buildx prune": "builder prune",
    "pull": "image pull",
    "push": "image push",
    "images": "image ls",
    "image list": "image ls",
    "rmi": "image rm",
    "image remove": "image rm",
    "tag": "image tag",
    "history": "image history",
    "load": "image load",
    "save": "image save",
    "import": "image import",
    "info": "system info",
    "version": "system version",
    "doctor": "system doctor",
    "inspect": "system inspect",
    "login": "system login",
    "logout": "system logout",
}

#: the order in which help lists the top level
TOP_LEVEL: tuple[str, ...] = (
    "run", "exec", "ps", "build", "pull", "push", "images", "login", "logout", "version", "info", "doctor"
)  # fmt: skip
NOUN_SUMMARIES: dict[str, str] = {
    "container": "Manage containers",
    "image": "Manage images",
    "builder": "Manage builds",
    "buildx": "Build images, by the name of Docker's plugin",
    "system": "Manage sandbox",
}
#: Docker's commands that a script may try: the answer is that they are missing, not that they are a slip of the pen
NOT_BUILT: frozenset[str] = frozenset({
    "attest", "bake", "checkpoint", "commit", "compose", "config", "context", "cp", "diff", "docker-compose",
    "events", "manifest", "network", "node", "pause", "plugin", "scout", "search", "secret", "service", "stack",
    "stats", "swarm", "top", "trust", "unpause", "update", "volume",
    *(f"buildx {verb}" for verb in ("bake", "create", "debug", "history", "imagetools", "inspect", "ls", "rm", "stop",
                                    "use", "version")),
    "system dial-stdio",
})  # fmt: skip
#: what does the work of some of them until they are there
INSTEAD: dict[str, str] = {
    "buildx create": "sandbox build; it needs no builder",
    "buildx use": "sandbox build; it needs no builder",
    "commit": "sandbox export CONTAINER | sandbox import - IMAGE",
    "context": "leave it out: there is no daemon to choose",
    "cp": "sandbox exec CONTAINER tar -c -C DIRECTORY FILE | tar -x, or tar -c FILE | sandbox exec -i CONTAINER tar -x"
    " -C DIRECTORY; out of one that does not run: sandbox export CONTAINER | tar -x DIRECTORY/FILE",
    "events": "sandbox wait CONTAINER, sandbox logs -f CONTAINER",
    "network": "sandbox run --network container:NAME, which shares the network of a container that runs",
    "search": "https://hub.docker.com/search",
    "top": "sandbox exec CONTAINER ps",
    "volume": "sandbox run -v NAME:/DIRECTORY IMAGE, which makes the volume where there is none",
}
