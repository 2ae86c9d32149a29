from pathlib import Path

import pytest

from gristmill.core.errors import Unprocessable
from gristmill.core.settings import load_settings


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text('control_port = 1\ninference_port = 1\nhost = "127.0.0.9"\n')
    environ = {"GRISTMILL_HOME": str(tmp_path), "GRISTMILL_CONTROL_PORT": "2", "GRISTMILL_INFERENCE_PORT": "2"}
    settings = load_settings({"control_port": 3, "gateways": None}, environ)
    assert (settings.control_port, settings.inference_port, settings.host) == (3, 2, "127.0.0.9")


def test_a_misspelt_setting_names_the_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("control_prot = 8001\n")
    with pytest.raises(Unprocessable, match="Did you mean 'control_port'"):
        load_settings({"home": tmp_path}, {})


@pytest.mark.parametrize("value", ["-1", "70000", "http"])
def test_a_port_that_is_none_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(Unprocessable):
        load_settings({"home": tmp_path}, {"GRISTMILL_CONTROL_PORT": value})


def test_sockets_of_a_long_home_still_fit_a_socket_address(tmp_path: Path) -> None:
    settings = load_settings({"home": tmp_path / ("long" * 40)}, {})
    assert len(str(settings.sockets / "rep_01k9abcdefghjkmnpqrstvwxyz.sock")) < 107
