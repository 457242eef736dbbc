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
    "nobody": [
        "/", "/docs", "/console/sign-in", "/console/sign-up", "/console/sign-up/sent", "/console/recover",
        "/console/recover/sent", "/console/verify",
    ],
    "member": ["/console", "/console/keys/new", "/console/settings", "/console/buy"],
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
    # An answer that is an error is on purpose here, and the browser says so of every one.
    found.extend(words for words in person.complaints() if "the server responded with a status of" not in words)
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


def look_at_all(person, who, pages):
    """Looks at pages that no link leads to, each under the name of its picture."""
    found = []
    for name, path in pages.items():
        for view in VIEWS:
            person.looks_through(*view)
            person.opens(path)
            found.extend(look(person, who, name, view))
    return found


def test_the_pages_behind_mailed_links_are_sound(stage):
    links = stage["links"]
    with chromium() as person:
        person.base_url = stage["base_url"]

        found = look_at_all(person, "letter", {
            "verify": links["verify"],
            "recover": links["recover"],
            "recover-stale": "/console/recover/nobody-was-ever-sent-this",
        })
        for view in VIEWS:
            person.looks_through(*view)
            person.opens("/console/verify/nobody-was-ever-sent-this").sends()
            found.extend(look(person, "letter", "verify-stale", view))
        person.opens(links["recover"]).fills(password="short").sends()
        found.extend(look(person, "letter", "recover-refused", VIEWS[-1]))

    assert not found, "\n".join(found)


def test_the_pages_of_a_first_start_and_of_a_fault_are_sound(stage):
    with chromium() as person:
        person.base_url = stage["fresh"]["base_url"]

        found = look_at_all(person, "fresh", {
            "setup": stage["fresh"]["setup"],
            "setup-stale": "/console/setup/nobody-was-ever-shown-this",
            "error-500": stage["links"]["failing"],
        })
        assert "500" in person.text()
        person.looks_through(1280, "light", "en")
        person.opens(stage["fresh"]["setup"])
        person.fills(name="Olive", email="olive@stage.example", password="the first of many operators").sends()
        for view in VIEWS:
            if view[2] == "en":
                person.looks_through(*view)
                found.extend(look(person, "fresh", "operator-overview", view))

    assert not found, "\n".join(found)


def test_the_pages_that_refuse_are_sound(stage):
    with chromium() as person:
        person.base_url = stage["base_url"]
        person.signs_in(stage["member"])

        found = look_at_all(person, "error", {
            "404": "/console/nothing-is-here",
            "403": "/console/operator",
            "405": "/console/sign-out",
        })

    assert not found, "\n".join(found)


def test_the_overview_of_a_subscriber_is_sound(stage):
    with chromium() as person:
        person.base_url = stage["base_url"]
        person.signs_in(stage["subscriber"])

        found = look_at_all(person, "subscriber", {"console": "/console"})

        assert person.all(".meter")
    assert not found, "\n".join(found)


def test_a_batch_of_codes_is_shown_once_and_sound(stage):
    with chromium() as person:
        person.base_url = stage["base_url"]
        person.signs_in(stage["operator"])
        person.looks_through(1280, "light", "en")
        person.opens("/console/operator/codes/new").fills(name="Spring", credits="5", size="3").sends()

        found = []
        for view in VIEWS:
            if view[2] == "en":
                person.looks_through(*view)
                found.extend(look(person, "operator", "/console/operator/codes/made", view))

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
