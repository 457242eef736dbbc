"""Every page that a link leads to, at the width of a phone and of a desk, in light and dark, in both languages.

A page has one main landmark and one heading, fits its window, and the browser has nothing to complain about. The
pictures are in TOLLGATE_SCREENSHOTS, to be looked at.
"""

import os
import re
from pathlib import Path
from urllib.parse import urldefrag, urlsplit

import openai
import pytest

from browser import chromium

PICTURES = Path(os.environ.get("TOLLGATE_SCREENSHOTS", "screenshots"))
VIEWS = [
    (1280, "light", "en"),
    (1280, "dark", "en"),
    (390, "light", "en"),
    (390, "dark", "en"),
    (390, "light", "zh-CN"),
]
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
WALKS = {
    "nobody": ["/", "/docs", "/console/sign-in", "/console/sign-up", "/console/recover"],
    "member": ["/console", "/console/keys/new", "/console/settings"],
    "operator": ["/console/operator"],
}
MOST_PAGES = 80


def pattern(path):
    """Two pages of one kind look alike: `/console/usage/<id>` is walked once."""
    return UUID.sub("id", urlsplit(path).path)


def links(person):
    """Where the links of a page lead within this installation, in the page's order; downloads are not pages."""
    hrefs = person.driver.execute_script(
        "return [...document.querySelectorAll('a[href]:not([download])')].map(a => a.href)"
    )
    for href in hrefs:
        path = urldefrag(href).url.removeprefix(person.base_url)
        if path.startswith("/") and not path.startswith(("/static", "/v1")) and not re.search(r"\.(csv|txt|json)\b", path):
            yield path


def faults(person, view):
    found = []
    if wide := person.overflow():
        found.append(f"wider than the window by {wide}")
    if (mains := len(person.all("main"))) != 1:
        found.append(f"{mains} main landmarks")
    if (heads := len(person.all("h1"))) != 1:
        found.append(f"{heads} h1")
    language = person.sees("html").get_attribute("lang")
    if language != view[2]:
        found.append(f"speaks {language}")
    found.extend(person.complaints())
    return found


def look(person, who, kind, view):
    """Takes the page's picture, and says what is wrong with it."""
    width, theme, language = view
    name = kind.strip("/").replace("/", "-") or "home"
    person.pictures(PICTURES / who / f"{name}.{width}.{theme}.{language}.png")
    return [f"{who} {kind} {width} {theme} {language}: {fault}" for fault in faults(person, view)]


def walk(person, who, starts):
    """Looks at every page once in every view, and follows its links; an operator's walk stays with operators' pages."""
    seen, queue, found = set(), list(starts), []
    home = {"nobody": ("/",), "member": ("/console",), "operator": ("/console/operator",)}[who]
    while queue and len(seen) < MOST_PAGES:
        path = queue.pop(0)
        kind = pattern(path)
        if kind in seen or not kind.startswith(home):
            continue
        seen.add(kind)
        for view in VIEWS:
            person.looks_through(*view)
            person.opens(path)
            found.extend(look(person, who, kind, view))
        queue.extend(links(person))
    return seen, found


@pytest.fixture(scope="session")
def history(stage, openai_client):
    """An answered call and a refused one, so that the pages about calls have something to show."""
    for model in ("story", "blocked"):
        try:
            openai_client().chat.completions.create(
                model=stage["models"][model],
                messages=[{"role": "user", "content": "a story of ninety words"}],
                max_completion_tokens=90,
            )
        except openai.PermissionDeniedError:
            assert model == "blocked"


def test_the_page_that_shows_a_key_is_sound_at_every_size(stage):
    with chromium() as person:
        person.base_url = stage["base_url"]
        person.signs_in(stage["member"])
        person.looks_through(1280, "light", "en")
        person.opens("/console/keys/new").fills(name="desk").sends()

        found = []
        for view in VIEWS:
            if view[2] == "en":
                person.looks_through(*view)
                found.extend(look(person, "member", "/console/keys/issued", view))

        assert not found, "\n".join(found)


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("who", WALKS)
def test_every_page_fits_and_is_sound(who, stage):
    with chromium() as person:
        person.base_url = stage["base_url"]
        if who != "nobody":
            person.signs_in(stage[who])

        seen, found = walk(person, who, WALKS[who])

        print(f"\n{who}: {len(seen)} pages: {' '.join(sorted(seen))}")
        assert not found, "\n".join(found)
        assert len(seen) < MOST_PAGES
