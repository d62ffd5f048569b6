"""Markdown of models as HTML."""

import re

import pytest

from responses_gateway.inspection.pages.markdown import markdown

LINK = '<a href="{}" rel="noreferrer noopener nofollow" target="_blank">{}</a>'


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("# Title", "<h3>Title</h3>"),
        ("a **b** *c* `d` ~~e~~", "<p>a <strong>b</strong> <em>c</em> <code>d</code> <del>e</del></p>"),
        ("snake_case_name and 2 * 3 * 4", "<p>snake_case_name and 2 * 3 * 4</p>"),
        ("one\ntwo", "<p>one<br>two</p>"),
        ("- a\n- b\n  - c", "<ul><li>a</li><li>b\n<ul><li>c</li></ul></li></ul>"),
        ("3. a\n4. b", '<ol start="3"><li>a</li><li>b</li></ol>'),
        ("> said", "<blockquote><p>said</p></blockquote>"),
        ("---", "<hr>"),
        (r"\*not\*", "<p>*not*</p>"),
        ("[a](https://x.example/a_(b))", f"<p>{LINK.format('https://x.example/a_(b)', 'a')}</p>"),
        ("see https://x.example/a.", f"<p>see {LINK.format('https://x.example/a', 'https://x.example/a')}.</p>"),
        ("[a](javascript:alert)", "<p>[a](javascript:alert)</p>"),
        ("[a](data:text/html,b)", "<p>[a](data:text/html,b)</p>"),
        ("<b onload=x>", "<p>&lt;b onload=x&gt;</p>"),
        ("`<b>`", "<p><code>&lt;b&gt;</code></p>"),
    ],
)
def test_what_models_write(text: str, html: str) -> None:
    assert markdown(text) == html


def test_code_is_as_it_was() -> None:
    html = markdown("```py\nif a < b:\n    # *c*\n```")
    assert '<span class="language">py</span>' in html
    assert "<code>if a &lt; b:\n    # *c*</code>" in html
    assert "still comes" in markdown("```\nstill comes")


def test_tables() -> None:
    html = markdown("| a | b |\n| --- | ---: |\n| 1 | <i> |\n\nafter")
    assert re.findall("<t[hd]>(.*?)</t[hd]>", html) == ["a", "b", "1", "&lt;i&gt;"]
    assert html.endswith("<p>after</p>")
