import re
from pathlib import Path

import pytest

from menos_vault import Vault


def test_the_example_of_the_readme_runs(
    minilm: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)

    exec(compile(code, "README.md", "exec"), {})

    assert "tea" in capsys.readouterr().out
