"""What pyproject.toml cannot say: manual pages are made of the command tables, and installed with the commands."""

import os
import sys

from setuptools import setup

# a build does not look for modules beside this file, and setuptools wants paths below it
os.chdir(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.getcwd())

from sandbox.cli.man_pages import write_pages  # noqa: E402

setup(data_files=[("share/man/man1", write_pages("build/man"))])
