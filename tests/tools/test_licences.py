"""The licence reader recognises licences and restrictions of commercial use."""

from importlib import metadata

import pytest

from tools import licences


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("MIT License\n\nPermission is hereby granted, free of charge, to any person", "MIT"),
        ("Apache License\nVersion 2.0, January 2004", "Apache-2.0"),
        ("Redistribution and use in source and\n binary forms ... Neither the name of", "BSD-3-Clause"),
        ("Redistribution and use in source and binary forms, with or without", "BSD-2-Clause"),
        ("GNU LESSER GENERAL PUBLIC LICENSE", "LGPL"),
        ("Apache License, version 2 ... the GNU Affero General Public License, version 3", "Apache-2.0"),
        ("do what you like", None),
    ],
)
def test_classify(text, licence):
    assert licences.classify(text) == licence


@pytest.mark.parametrize(
    "text",
    [
        "License for\nnon-commercial scientific research purposes",
        "may be used for noncommercial use only",
        "The Software may not be used for commercial, pornographic ...",
        "for research purposes only",
    ],
)
def test_restrictions_are_caught(text):
    assert licences.restrictions(text)


def test_unrestricted_text_passes():
    text = "commercial and non-commercial redistribution is allowed without limits of any kind"
    assert not licences.restrictions(text)


def test_smplx_is_caught_and_not_on_the_default_path():
    """smplx, the test oracle: its text is restricted, and the default requirements do not install it."""
    assert licences.examine(metadata.distribution("smplx")).restricted
    assert "smplx" not in {d.metadata["Name"].lower() for d in licences.installed()}
