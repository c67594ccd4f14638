"""Tests of the conference event package."""
