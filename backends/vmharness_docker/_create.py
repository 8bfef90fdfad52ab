"""Making a container that stays up, and taking a half-made one away again."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Final

from vmharness.errors import CreateFailed, CreateUnsettled, ProviderError
from vmharness.provider import Kind, MachineInfo, MachineState, Spec
from vmharness_docker import _exec
from vmharness_docker._errors import BACKEND, Doing, status_of, translate
from vmharness_docker._machine import NAME, find, inspected, stays_up
from vmharness_docker._open import Api, Engine, Json, Open

__all__ = ["DEFAULT_IMAGE", "create", "image_names"]

DEFAULT_IMAGE: Final = "ubuntu:24.04"

# Tiny images have busybox's sleep, which takes no "infinity".
_STAY_UP: Final = ("sleep", "2147483647")
_ARCHES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
# To take away a half-made container, after the deadline if need be: a kill and an unmount.
_UNDO_S: Final = 10.0
_SHOWN: Final = 20


def create(spec: Spec, timeout: float, open_engine: Open) -> MachineInfo:
    """Make a machine, as `Provider.create` says."""
    what = f"create machine {spec.name!r}"
    _check(spec)
    with ExitStack() as stack:
        try:
            engine = stack.enter_context(open_engine(timeout))
        except Exception as exc:
            raise translate(exc, Doing.PREPARE, what, machine=spec.name) from exc
        options = _options(engine, spec, what)
        container = _create(engine, spec, options, what, open_engine)
        return _start(engine, spec, options, container, what, open_engine)


def image_names(api: Api) -> list[str]:
    """Return the names of the engine's images, sorted."""
    tags: list[list[str] | None] = [image.get("RepoTags") for image in api.images()]
    return sorted({name for names in tags for name in names or []} - {"<none>:<none>"})


def _check(spec: Spec) -> None:
    """Raise CreateFailed for what no container can be."""
    why = ""
    if not NAME.fullmatch(spec.name):
        why = "a name is 2 or more of a-z, A-Z, 0-9, '_', '.' and '-', and begins with a letter or digit"
    elif spec.kind is Kind.VM:
        why = "Docker makes containers, no virtual machines; use another backend, or leave kind out"
    elif spec.disk is not None:
        why = "Docker can't size the disk of a container on all its storage drivers; leave disk out"
    elif spec.user_data:
        why = "a container runs no cloud-init; leave user_data out, or build an image"
    if why:
        raise CreateFailed(f"cannot create machine {spec.name!r}: {why}", backend=BACKEND, machine=spec.name)


def _options(engine: Engine, spec: Spec, what: str) -> Json:
    """Return what the engine's create call takes; the image is there then."""
    arch = _ARCHES.get(spec.arch, spec.arch)
    platform = f"linux/{arch}" if arch else None
    try:
        config = _image(engine, spec.image or DEFAULT_IMAGE, arch, platform)
        host = engine.api.create_host_config(
            nano_cpus=None if spec.cpus is None else spec.cpus * 10**9, mem_limit=spec.memory
        )
    except Exception as exc:
        error = translate(exc, Doing.PREPARE, what, machine=spec.name)
        raise CreateFailed(
            f"{error}{_what_there_is(engine)}", backend=BACKEND, machine=spec.name, retryable=error.retryable
        ) from exc
    options: Json = {"name": spec.name, "labels": dict(spec.labels), "host_config": host}
    options |= {"user": spec.user} if spec.user else {}
    options |= {"platform": platform} if platform else {}
    options |= {} if stays_up(config) else {"entrypoint": [*_STAY_UP], "command": []}
    return options


def _image(engine: Engine, image: str, arch: str, platform: str | None) -> Json:
    """Return the image's configuration; an image that isn't there is pulled first."""
    found: Json | None = None
    try:
        found = engine.api.inspect_image(image)
    except Exception as exc:
        if status_of(exc) != 404:
            raise
    if found is None or (arch and found.get("Architecture") != arch):
        engine.pull(image, platform)
        found = engine.api.inspect_image(image)
    config: Json = found.get("Config") or {}
    return config


def _what_there_is(engine: Engine) -> str:
    """Return the engine's images in words, for who asked for one that isn't there."""
    try:
        names = image_names(engine.api)
    except Exception:
        return ""  # what went wrong at first is what matters
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"; the engine has {', '.join(names[:_SHOWN]) or 'no images'}{more}"


def _create(engine: Engine, spec: Spec, options: Json, what: str, open_engine: Open) -> str:
    """Make the container and return its ID."""
    try:
        made = engine.api.create_container(spec.image or DEFAULT_IMAGE, **options)
        return str(made["Id"])
    except Exception as exc:
        error = translate(exc, Doing.CREATE, what, machine=spec.name)
        if not isinstance(error, CreateFailed) or (status_of(exc) or 400) < 500:
            raise error from exc
        # The engine failed by its own fault: it takes away what it had made, but let a look prove it.
        raise _undo(spec, "", f"{error}", open_engine) from exc


def _start(
    engine: Engine, spec: Spec, options: Json, container: str, what: str, open_engine: Open
) -> MachineInfo:
    """Start the container, and see that it stays up."""
    try:
        engine.api.start(container)
        if "entrypoint" not in options:
            _try(engine, container)
        entry = engine.api.inspect_container(container)
        info = inspected(entry)
    except Exception as exc:
        error = translate(exc, Doing.CREATE, what, machine=spec.name)
        if isinstance(error, CreateUnsettled):
            raise error from exc
        raise _undo(spec, container, f"{error}", open_engine) from exc
    if info.state is MachineState.RUNNING:
        return info
    own = " ".join([entry.get("Path", ""), *entry.get("Args", [])])
    why = (
        f"cannot {what}: its image's own command, {own!r}, ended at once with status "
        f"{entry['State'].get('ExitCode')}; use an image whose command stays up, or that has none"
    )
    raise _undo(spec, container, why, open_engine)


def _try(engine: Engine, container: str) -> None:
    """Run a trial command, in whose time an image's own command that doesn't stay up has ended.

    How the trial ends says little (409 or 500 if the container has ended); the look after it counts.
    """
    try:
        _exec.run(engine, container, ["true"])
    except ProviderError:
        pass  # the image has no `true`
    except Exception as exc:
        if status_of(exc) is None:  # no answer
            raise


def _undo(spec: Spec, container: str, why: str, open_engine: Open) -> CreateFailed | CreateUnsettled:
    """Take a half-made container away; return CreateFailed if it is surely gone.

    Args:
        spec: What was asked for.
        container: Its ID; "" = one of that name is ours if it has our labels.
        why: What had gone wrong, in words.
        open_engine: Opens the engine; the create's own deadline may be over.
    """
    try:
        with open_engine(_UNDO_S) as engine:
            if not container:
                entry = find(engine.api, spec.name)
                labels: dict[str, str] = {} if entry is None else entry["Labels"] or {}
                if entry is not None and not (spec.labels and spec.labels.items() <= labels.items()):
                    return CreateUnsettled(
                        f"{why}; one of that name is there, and it is not known whose",
                        backend=BACKEND,
                        machine=spec.name,
                    )
                container = "" if entry is None else entry["Id"]
            if container:
                engine.api.remove_container(container, v=True, force=True)
    except Exception as exc:
        if status_of(exc) != 404:
            left = translate(exc, Doing.DELETE, "take away what had been made of it", machine=spec.name)
            return CreateUnsettled(f"{why}; {left}", backend=BACKEND, machine=spec.name)
    return CreateFailed(why, backend=BACKEND, machine=spec.name)
