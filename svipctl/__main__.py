"""`python -m svipctl`."""

from svipctl.cli.main import main

if __name__ == "__main__":
    main()
