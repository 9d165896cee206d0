"""Run the command line as `python -m svipctl`."""

from svipctl.cli._main import main

if __name__ == "__main__":
    main()
