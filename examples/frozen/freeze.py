"""Makes one executable of publisher.py and a copied namedmap.py. Needs PyInstaller: python -m pip install pyinstaller

Run:    python examples/frozen/freeze.py [FOLDER]

After half a minute, publisher.exe (elsewhere than on Windows: publisher) is in FOLDER, or else in dist.  It needs no
Python, no installation and no file beside it.
"""
import os
import shutil
import sys
import tempfile

try:
    import PyInstaller.__main__
except ImportError:
    raise SystemExit("This example needs PyInstaller: python -m pip install pyinstaller")

HERE = os.path.dirname(os.path.abspath(__file__))


def main(folder="dist"):
    folder = os.path.abspath(folder)
    with tempfile.TemporaryDirectory() as project:  # the program with the file that was copied into it
        program = shutil.copy(os.path.join(HERE, "publisher.py"), project)
        shutil.copy(os.path.join(HERE, os.pardir, os.pardir, "namedmap.py"), project)
        PyInstaller.__main__.run(["--onefile", "--distpath", folder, "--workpath", os.path.join(project, "build"),
                                  "--specpath", project, program])


if __name__ == "__main__":
    main(*sys.argv[1:])
