"""`sensorkd VERB ...`: finds the verb, and tells errors as people would."""

from __future__ import annotations

import sys

from sensorkd.errors import MissingExtraError, SensorkdError

__all__ = ["main"]

INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run a verb; returns the exit code: 0 done, 1 data or model fell short, 2 unusable input."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        return _run(arguments)
    except SensorkdError as error:
        if debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone; nothing is left to say to it
        return 0
    except KeyboardInterrupt:
        print("stopped; what is finished is kept", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if debug:
            raise
        print(f"error: something unforeseen: {error!r}\n  to mend: see where with --debug", file=sys.stderr)
        return 1


def _run(arguments: list[str]) -> int:
    try:
        import typer

        from sensorkd.cli.app import app
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    try:
        # Typer tells usage errors itself and always leaves by SystemExit.
        typer.main.get_command(app).main(arguments, prog_name="sensorkd")
    except SystemExit as left:
        if left.code == INTERRUPTED:
            print("stopped; what is finished is kept", file=sys.stderr)
        return left.code if isinstance(left.code, int) else 0
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    return 0


def _missing(error: ModuleNotFoundError) -> Exception:
    """Which extra brings a module that is not installed."""
    extras = {"onnx": "export", "onnxscript": "export", "onnxruntime": "edge", "pytest": "testing"}
    module = (error.name or "").split(".")[0]
    if module == "sensorkd":
        return error
    extra = extras.get(module, "train")
    return MissingExtraError(
        f"this verb needs {module!r}, which is not installed", mend=f"pip install 'sensorkd[{extra}]'"
    )


if __name__ == "__main__":
    sys.exit(main())
