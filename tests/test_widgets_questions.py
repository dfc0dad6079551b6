"""What a tool asks, in a real browser: a card of plain text that is answered by a person's click or key, and by nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.talk_fakes import FakeRuntime, Pages, until, visit
from tests.test_workbench_shown import EVIL

pytestmark = pytest.mark.browser

SCRIPT = "</script><script>window.hacked = true</script>"
QUESTION: dict[str, Any] = {
    "t": "question", "question": "3.1", "tool": "send mail", "how": "click", "text": "may I send mail with to anna", "version": "f00d",
    "reason": "tell anna that i am late", "left_s": 20.0,
    "arguments": {"to": "anna@example.org", "body": "I am late.\nSorry!", "copies": 2},
}  # fmt: skip


def card(page: Any) -> Any:
    return page.locator(".mt-question")


def button(page: Any, name: str) -> Any:
    return card(page).get_by_role("button", name=name, exact=True)


def stands(page: Any) -> None:
    page.wait_for_selector('.mt-question button[aria-disabled="false"]')


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_click_answers_the_question_and_its_end_is_told(browser: Any, pages: Pages, scheme: str, tmp_path: Path) -> None:
    runtime = FakeRuntime()
    with visit(browser, pages, runtime, color_scheme=scheme, viewport={"width": 390, "height": 900}) as page:
        runtime.say(QUESTION)
        stands(page)
        facts = dict(zip(card(page).locator("dt").all_inner_texts(), card(page).locator("dd").all_inner_texts(), strict=True))
        assert facts == {
            "tool": "send mail", "to": "anna@example.org", "body": "I am late.\nSorry!", "copies": "2",
            "you wanted": "tell anna that i am late",
        }  # fmt: skip
        assert "Without an answer within" in card(page).inner_text()
        assert "only a click counts, not a spoken yes" in card(page).inner_text()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.screenshot(path=str(tmp_path / "question.png"))
        button(page, "Allow" if scheme == "light" else "Refuse").click()
        until(lambda: bool(runtime.of("click")), page)
        button(page, "Allow").click(force=True)  # a second one is none
        given = scheme == "light"
        runtime.say({"t": "settled", "question": "3.1", "given": given, "how": "click", "text": ""})
        page.wait_for_selector(".mt-outcome")
        assert runtime.of("click") == [{"t": "click", "question": "3.1", "given": given, "version": "f00d"}]
        assert card(page).count() == 0
        assert f"may I send mail with to anna: {'Allowed' if given else 'Refused'} by click." in page.get_by_role("log").inner_text()


def test_the_keyboard_reaches_it_and_neither_a_script_nor_a_hasty_click_answers(browser: Any, pages: Pages) -> None:
    runtime = FakeRuntime()
    with visit(browser, pages, runtime) as page:
        page.get_by_label("Type to the agent").focus()
        runtime.say(QUESTION)
        card(page).wait_for()
        assert page.evaluate("document.activeElement.ariaLabel") == "Type to the agent"  # what is being typed answers nothing
        page.evaluate("document.querySelectorAll('.mt-question button').forEach((each) => each.click())")
        stands(page)
        page.evaluate("document.querySelectorAll('.mt-question button').forEach((each) => each.click())")
        for _ in range(3):
            page.keyboard.press("Shift+Tab")
            if page.evaluate("document.activeElement.textContent") == "Refuse":
                break
        assert page.evaluate("document.activeElement.textContent") == "Refuse"
        assert runtime.of("click") == []
        page.keyboard.press("Enter")
        until(lambda: bool(runtime.of("click")), page)
        assert runtime.of("click") == [{"t": "click", "question": "3.1", "given": False, "version": "f00d"}]


def test_hostile_words_are_shown_as_they_are_and_do_nothing(browser: Any, pages: Pages) -> None:
    runtime = FakeRuntime()
    arguments = {EVIL: SCRIPT, "to": "anna\u202emoc.live@", "more": {"html": EVIL}}
    with visit(browser, pages, runtime) as page:
        runtime.say({**QUESTION, "tool": EVIL, "text": SCRIPT, "reason": EVIL, "arguments": arguments, "how": "voice"})
        stands(page)
        shown = card(page).inner_text()
        assert "anna\\u{202e}moc.live@" in shown
        assert shown.count(EVIL) == 4
        assert "or say yes or no" in shown
        assert card(page).locator("script, img, a, b b").count() == 0
        assert page.evaluate("window.hacked") is None


def test_without_an_answer_it_is_over_and_asked_again_after_a_lost_connection(browser: Any, pages: Pages) -> None:
    runtime = FakeRuntime()
    with visit(browser, pages, runtime) as page:
        runtime.say({**QUESTION, "left_s": 1.2})
        page.wait_for_function("document.querySelector('.mt-left')?.textContent === 'Its time is over.'")
        button(page, "Allow").click(force=True)
        runtime.say({"t": "settled", "question": "3.1", "given": False, "how": "silence", "text": ""})
        page.wait_for_selector(".mt-outcome")
        assert "Nobody answered in time, so it is not done." in page.locator(".mt-outcome").inner_text()
        assert runtime.of("click") == []
        runtime.say({**QUESTION, "question": "3.2"})
        card(page).wait_for()
        runtime.say({"t": "settled", "question": "3.2", "given": False, "how": "silence", "text": "a spoken yes does not answer it"})
        second = page.locator(".mt-outcome", has_text="a spoken yes")  # the first one may be gone by now
        assert "in time, so it is not done: a spoken yes does not answer it." in second.inner_text()
        runtime.say({**QUESTION, "question": "4.1"})
        card(page).wait_for()
        runtime.say(
            {"t": "welcome", "session": "s1", "token": "again", "lanes": [], "agent": "echo", "kept": {}, "tick_ms": 200, "rate": 16000}
        )
        page.wait_for_function("!document.querySelector('.mt-question')")  # the runtime asks again what is still open
        runtime.say({**QUESTION, "question": "4.1", "left_s": 9.0})
        card(page).wait_for()
        page.get_by_role("button", name="Stop").click()
        page.wait_for_function("talk.state === 'ended'")
        assert card(page).count() == 0


@pytest.mark.parametrize("name", ["comm", "panel"])
def test_a_question_is_answered_over_the_other_carriers_too(browser: Any, pages: Pages, name: str) -> None:
    page = browser.new_page()
    page.goto(pages.address)
    page.wait_for_function("window.ready")
    page.evaluate(
        """async (name) => {
          const { commCarrier, panelCarrier, pack, unpack } = await import("./carriers.js"), ears = {};
          window.sent = [];
          const model = { on: (type, ear) => { ears[type] = ear; }, off: (type) => { delete ears[type]; },
            send: (content) => sent.push(content), send_msg: ({ packed }) => sent.push(unpack(packed)[0]) };
          window.give = (content) => ears["msg:custom"](name === "comm" ? content : { data: { packed: pack(content).buffer } });
          const made = { comm: commCarrier, panel: panelCarrier }[name];
          window.talk = client.mount(root, { standIn: "Somebody", carrier: () => made(model) });
        }""",
        name,
    )
    page.wait_for_function("sent.length === 1")
    page.evaluate("give({ t: 'welcome', session: 's', token: '', tick_ms: 200, lanes: [], kept: {}, agent: 'a', rate: 16000 })")
    page.evaluate("(question) => give(question)", QUESTION)
    stands(page)
    button(page, "Allow").click()
    assert page.evaluate("sent.at(-1)") == {"t": "click", "question": "3.1", "given": True, "version": "f00d"}
    page.evaluate("give({ t: 'settled', question: '3.1', given: true, how: 'click', text: '' })")
    page.wait_for_selector(".mt-outcome")
    page.close()
