"""`app.templates` and `app.render`: what they take, what they refuse, what is escaped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import pytest
from serving import Write, run_to_end

from pyreframework import Pyre
from pyreframework.testing import TestClient


def app_in(folder: Path, files: dict[str, str], **options: Any) -> Pyre:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    app = Pyre()
    app.templates(folder, **options)
    return app


@pytest.mark.parametrize(
    ("name", "is_escaped"),
    [
        ("a.html", True),
        ("a.HTM", True),
        ("a.xml", True),
        ("a.xhtml", True),
        ("a.svg", True),
        ("a.html.j2", True),
        ("a.svg.jinja", True),
        ("a.jinja", True),
        ("a.b/a.J2", True),
        ("a.txt", False),
        ("a.txt.j2", False),
        ("html", False),
        ("below/a.html", True),
    ],
)
def test_what_is_escaped(tmp_path: Path, name: str, is_escaped: bool) -> None:
    app = app_in(tmp_path, {name: "{{ x }}"})
    resp = app.render(name, x="<&>")
    assert resp.body == ("&lt;&amp;&gt;" if is_escaped else "<&>")
    kind = "text/html" if is_escaped else "text/plain"
    streamed = app.stream_template(name, x="<&>")
    assert resp.content_type == streamed.content_type == f"{kind}; charset=utf-8"


def test_escaping_is_chosen(tmp_path: Path) -> None:
    files = {"a.txt": "{{ x }}", "a.html": "{{ x }}"}
    unescaped = app_in(tmp_path, files, autoescape=False).render("a.html", x="<")
    assert (unescaped.body, unescaped.content_type) == ("<", "text/html; charset=utf-8")
    assert app_in(tmp_path, files, autoescape=True).render("a.txt", x="<").body == "&lt;"
    chosen = app_in(tmp_path, files, autoescape=lambda name: name == "a.txt")
    assert chosen.render("a.txt", x="<").body == "&lt;"


def test_what_templates_can_use(tmp_path: Path) -> None:
    text = "{{ x | twice }} {{ site }} {% do [].append(1) %}{{ url_for('home') }} {{ absent }}."
    app = app_in(
        tmp_path,
        {"a.html": text},
        filters={"twice": lambda text: text * 2},
        globals={"site": "Site"},
        extensions=["jinja2.ext.do"],
    )
    app.get("/home", name="home")(lambda req: "")
    assert app.render("a.html", x="ab").body == "abab Site /home ."
    strict = app_in(tmp_path, {"b.html": "{{ absent }}"}, undefined=jinja2.StrictUndefined)
    with pytest.raises(jinja2.UndefinedError, match="absent"):
        strict.render("b.html")


def test_the_answer(tmp_path: Path) -> None:
    app = app_in(tmp_path, {"a.html": "{{ self_ }}"})
    resp = app.render("a.html", status_code=404, headers={"X-Tag": ["a", "b"]}, self_=1)
    assert (resp.status_code, resp.content_type) == (404, "text/html; charset=utf-8")
    assert resp.headers["X-Tag"] == ["a", "b"] and resp.body == "1"
    assert (
        app.render("a.html", headers={"Content-Type": "text/x"}).headers["Content-Type"] == "text/x"
    )


@pytest.mark.parametrize("name", ["Host", "cookie", "Authorization"])
def test_headers_of_a_request_are_not_sent_back(tmp_path: Path, name: str) -> None:
    app = app_in(tmp_path, {"a.html": "{{ given[shown] }}"})
    given = {name: "a secret"}
    for make in (app.render, app.stream_template):
        with pytest.raises(ValueError, match=f"{name.lower()!r} is what a request"):
            make("a.html", headers=given)
    assert app.render("a.html", given=given, shown=name).body == "a secret"


def test_pieces(tmp_path: Path) -> None:
    app = app_in(tmp_path, {"a.html": "{% for row in rows %}{{ row }}\n{% endfor %}"})
    pieces = list(app.stream_template("a.html", rows=range(10_000)).body)
    assert "".join(pieces) == "".join(f"{row}\n" for row in range(10_000))
    assert all(8 * 1024 <= len(piece) < 9 * 1024 for piece in pieces[:-1]) and len(pieces) > 3


def test_a_name_that_is_not_there(tmp_path: Path) -> None:
    app = app_in(tmp_path, {"users.html": "", "below/page.html": "{% include 'usrs.html' %}"})
    for call in (app.render, app.stream_template):
        with pytest.raises(jinja2.TemplateNotFound) as caught:
            call("user.html")
        said = f"there is no template 'user.html' in {tmp_path}; near it: users.html"
        assert str(caught.value) == said
    for name in ("below/page.html", "../secret.html", "/etc/passwd"):
        with pytest.raises(jinja2.TemplateNotFound, match="there is no template '"):
            app.render(name)


def test_templates_change_in_debug_mode_alone(tmp_path: Path) -> None:
    for debug in (True, False):
        app = app_in(tmp_path, {"a.html": "old"})
        app.debug = debug
        with TestClient(app):
            assert app.render("a.html").body == "old"
            (tmp_path / "a.html").write_text("new one")
            assert app.render("a.html").body == ("new one" if debug else "old")


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r'call app.templates\("templates"\) first'):
        Pyre().render("a.html")
    with pytest.raises(ValueError, match="there is no folder '/no/such'"):
        Pyre().templates("/no/such")
    with pytest.raises(RuntimeError, match="called already"):
        app_in(tmp_path, {}).templates(tmp_path)
    for given, words in [
        ({"filters": [1]}, "filters is a dict"),
        ({"globals": {1: 2}}, "globals is a dict"),
        ({"filters": {"a": 1}}, "filter 'a' cannot be called"),
        ({"extensions": "jinja2.ext.do"}, "extensions is a list"),
        ({"autoescape": "html"}, "autoescape is a bool"),
        ({"undefined": "strict"}, "undefined is a class"),
    ]:
        with pytest.raises(TypeError, match=words):
            Pyre().templates(tmp_path, **given)  # type: ignore[arg-type]


def test_without_jinja(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "pyreframework\[templates\]"'):
        Pyre().templates(tmp_path)


def test_where_the_folder_is(tmp_path: Path, write: Write) -> None:
    file = write(
        "program.py",
        "import sys\n"
        "from pyreframework import Pyre\n"
        "app = Pyre()\n"
        "app.templates('pages')\n"
        "print('jinja2' in sys.modules, app.render('a.html').body)\n",
    )
    (file.parent / "pages").mkdir()
    (file.parent / "pages" / "a.html").write_text("beside the program")
    result = run_to_end(file, cwd=Path("/"))
    assert result.code == 0 and "False beside the program" in result.output
