"""What pyproject.toml cannot say: which modules are compiled.

Where there is no C compiler, or none of Python's headers, the project is installed without: see documents/mongo/raw.py.
"""

from setuptools import Extension, setup

COMPILED = ("_row", "_writer")

setup(
    ext_modules=[
        Extension(f"documents.mongo.{name}", [f"documents/mongo/{name}.pyx"], optional=True) for name in COMPILED
    ]
)
