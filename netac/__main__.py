"""`python -m netac` is `netac`."""

import sys


def main() -> None:
    """Entry point: the command line, once it can be imported."""
    try:
        from netac import cli
    except KeyboardInterrupt:
        raise
    except BaseException as error:    # a package that is missing, or not what it should be
        from netac.comm import launch
        sys.exit(launch.end(error))
    cli.main()


if __name__ == "__main__":
    main()
