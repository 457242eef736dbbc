"""What the product is for, in a real browser: redeem, make a key, call, and see the balance fall by the price."""

from decimal import Decimal

import pytest

from browser import chromium

QUESTION = "the gate counts every word of it"


@pytest.fixture
def person(stage):
    with chromium() as person:
        person.base_url = stage["base_url"]
        person.looks_through(1280, "light", "en")
        yield person


def balance(person):
    """The first figure of the overview, to the last digit."""
    return Decimal(person.opens("/console").sees(".stat-value").text.replace(",", ""))


def price(stage, tokens_in, tokens_out):
    rates = stage["prices"][stage["models"]["chat"]]
    nanos = tokens_in * Decimal(rates["input"]) + tokens_out * Decimal(rates["output"])
    return (nanos / 1_000_000).to_integral_value("ROUND_CEILING") / Decimal(10**9)


def test_the_balance_falls_by_exactly_the_price_of_a_streamed_call(person, stage, openai_client):
    person.signs_in(stage["newcomer"])
    assert balance(person) == 0

    person.opens("/console/redeem").fills(code=stage["code"]["text"]).sends()
    assert balance(person) == Decimal(stage["code"]["credits"])

    person.opens("/console/keys/new").fills(name="laptop").sends()
    key = person.sees("#issued-key").text.strip()
    assert key.startswith("sk-")
    shown_at = person.driver.current_url
    person.driver.refresh()
    assert key not in person.driver.page_source
    person.driver.get(shown_at)
    assert key not in person.driver.page_source
    assert key not in person.opens("/console/keys").driver.page_source

    before = balance(person)
    chunks = list(
        openai_client(key).chat.completions.create(
            model=stage["models"]["chat"],
            messages=[{"role": "user", "content": QUESTION}],
            max_completion_tokens=100,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    usage = chunks[-1].usage
    cost = price(stage, usage.prompt_tokens, usage.completion_tokens)

    assert cost > 0
    assert before - balance(person) == cost
    assert str(cost.normalize()) in person.opens("/console/usage").text()
    assert person.complaints() == []
    print(f"\nredeemed {stage['code']['credits']}, called for {cost}, left {balance(person)}")


def test_a_code_is_worth_something_once(person, stage):
    person.signs_in(stage["newcomer"])
    before = balance(person)

    person.opens("/console/redeem").fills(code=stage["code"]["text"]).sends()

    assert person.all(".fault, .notice.bad"), person.text()
    assert balance(person) == before
