"""Tests of what only the program says: names of measures, the order of mixers."""

import unittest

from plumb.reading import program

needs_program = unittest.skipUnless(program.listed("measures"), "no program that lists its tables")
