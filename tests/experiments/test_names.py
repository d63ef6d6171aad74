import pytest

from wsss_lib.experiments.names import check_name
from wsss_lib.vocabulary import SettingsError


def test_known_name_is_returned():
    assert check_name("profile", "toy", ["smoke", "toy"]) == "toy"


def test_near_name_is_suggested_and_all_are_listed():
    with pytest.raises(
        SettingsError, match=r"no profile named 'camvit'; did you mean 'camvid'\? \(known: camvid, toy\)"
    ):
        check_name("profile", "camvit", ["toy", "camvid"])


def test_far_name_gets_the_list_only():
    with pytest.raises(SettingsError, match=r"named 'xyz' \(known: toy\)"):
        check_name("profile", "xyz", ["toy"])


def test_nothing_to_choose_from():
    with pytest.raises(SettingsError, match="there is none"):
        check_name("parameter of 01", "seed", [])
