"""What the panel does when something stands in the way: it says why and what to do, and captures nothing that was not agreed to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from tests.conftest import CHROMIUM_FLAGS
from tests.talk_fakes import FAKE_MICROPHONE, FakeRuntime, Pages, until, visit
from workbench.dials import DIALS

pytestmark = pytest.mark.browser

# Written over what the browser has, before the panel asks for it.
BROKEN = {
    "denied": (
        "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('no', 'NotAllowedError'); }",
        "Allow it beside the address bar",
    ),
    "absent": ("navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('no', 'NotFoundError'); }", "Plug one in"),
    "busy": ("navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('no', 'NotReadableError'); }", "another program"),
    "insecure": ("Object.defineProperty(window, 'isSecureContext', { value: false })", "http://localhost"),
    "worklet": ("Object.defineProperty(AudioContext.prototype, 'audioWorklet', { value: undefined })", "no AudioWorklet"),
    "forbidden": ("AudioWorklet.prototype.addModule = async () => { throw new Error('blocked'); }", "Content-Security-Policy"),
    "rate": ("Object.defineProperty(AudioContext.prototype, 'sampleRate', { value: 48000 })", "48000 Hz"),
    "mixed": (
        "AudioContext.prototype.createMediaStreamSource = () => { throw new DOMException('different sample-rate', 'NotSupportedError'); }",
        "different sample-rate",
    ),
}


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=chromium, args=[*CHROMIUM_FLAGS, *FAKE_MICROPHONE, "--use-fake-ui-for-media-stream"])
        yield opened
        opened.close()


WATCHED = """() => {
  window.opened = [];
  const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (what) => {
    const stream = await real(what);
    window.opened.push(...stream.getTracks());
    return stream;
  };
}"""


def watched_talk(page: Any, runtime: FakeRuntime) -> None:
    """Agree, and wait until sound goes out; what was opened for it is kept in `window.opened`."""
    page.evaluate(WATCHED)
    page.get_by_role("button", name="Agree").click()
    page.wait_for_function("talk.state === 'talking'")
    until(lambda: len(runtime.of("audio")) > 2, page)


def test_the_question_says_what_is_kept_before_anything_is_captured(browser: Any, pages: Pages) -> None:
    with visit(browser, pages, FakeRuntime(), agree=False) as page:
        question = page.get_by_role("alertdialog").inner_text()
        assert "kept in full: your voice · only features kept: your pictures" in question
        assert page.locator(".mt-recording").inner_text() == "not recording yet"
        assert page.evaluate("document.activeElement.textContent") == "Agree and start the microphone"


def test_who_does_not_agree_is_not_captured(browser: Any, pages: Pages) -> None:
    runtime = FakeRuntime()
    with visit(browser, pages, runtime, agree=False) as page:
        page.evaluate(WATCHED)
        page.get_by_role("button", name="No", exact=True).click()
        until(runtime.closed.is_set, page)
        assert "nothing was captured" in page.get_by_role("alert").inner_text()
        assert page.evaluate("window.opened") == []
        assert [message["t"] for message, _ in runtime.heard] == ["hello", "consent", "stop"]
        assert runtime.of("consent") == [{"t": "consent", "given": False}]


@pytest.mark.parametrize("trouble", BROKEN)
def test_a_trouble_says_why_and_what_to_do(browser: Any, pages: Pages, trouble: str) -> None:
    code, expected = BROKEN[trouble]
    runtime = FakeRuntime()
    with visit(browser, pages, runtime, agree=False) as page:
        page.evaluate(f"() => {{ {code}; }}")
        page.get_by_role("button", name="Agree").click()
        page.wait_for_function("talk.state === 'ended'")
        assert expected in page.get_by_role("alert").inner_text()
        assert runtime.of("audio") == []
        assert not any(message["given"] for message in runtime.of("consent"))


def test_stop_closes_the_microphone_and_names_the_trace(browser: Any, pages: Pages) -> None:
    runtime = FakeRuntime()
    with visit(browser, pages, runtime, agree=False) as page:
        watched_talk(page, runtime)
        page.get_by_role("button", name="Stop").click()
        until(runtime.closed.is_set, page)
        assert page.evaluate("window.opened.map((track) => track.readyState)") == ["ended"]
        assert page.locator(".mt-recording").inner_text() == "ended, not recording"


def test_what_the_microphone_heard_last_moves_nothing_after_stop(browser: Any, pages: Pages) -> None:
    runtime = FakeRuntime()
    with visit(browser, pages, runtime) as page:
        until(lambda: len(runtime.of("audio")) > 2, page)
        page.evaluate("""() => {  // frames come while the page is busy
          const level = document.querySelector(".mt-level"), until = performance.now() + 400;
          while (performance.now() < until);
          talk.stop();
          window.moved = 0;
          new MutationObserver(() => window.moved++).observe(level, { attributes: true });
        }""")
        page.wait_for_function("talk.state === 'ended'")
        page.wait_for_timeout(300)
        assert page.evaluate("window.moved") == 0


def test_a_panel_that_goes_away_closes_the_microphone_and_the_session(browser: Any, pages: Pages) -> None:
    runtime = FakeRuntime()
    with visit(browser, pages, runtime, agree=False) as page:
        watched_talk(page, runtime)
        page.evaluate("talk.destroy()")
        until(runtime.closed.is_set, page)
        assert page.evaluate("window.opened.map((track) => track.readyState)") == ["ended"]
        assert page.locator(".mt-panel").count() == 0


def test_a_page_that_is_left_ends_its_session(browser: Any, pages: Pages) -> None:
    runtime = FakeRuntime()
    with visit(browser, pages, runtime) as page:
        page.goto("about:blank")
        until(runtime.closed.is_set, page)
        assert runtime.heard[-1][0] == {"t": "stop"}


def test_a_lost_connection_is_resumed_with_its_token(browser: Any, pages: Pages) -> None:
    runtime = FakeRuntime()
    with visit(browser, pages, runtime) as page:
        until(lambda: page.evaluate("talk.timeline.record.last") > 2, page)
        carrier = page.carrier
        carrier._loop.call_soon_threadsafe(carrier._current.transport.abort)
        until(lambda: len(runtime.of("hello")) == 2, page)
        assert [hello["resume"] for hello in runtime.of("hello")] == [None, "again"]
        page.wait_for_function("talk.state === 'talking'")
        last = page.evaluate("talk.timeline.record.last")
        until(lambda: page.evaluate("talk.timeline.record.last") > last + 2, page)
        assert page.evaluate("talk.timeline.record.first") == 0  # the timeline went on
        assert page.get_by_role("alert").count() == 0
        frames = [message["n"] for message in runtime.of("audio")]
        assert frames == sorted(set(frames))  # what was lost meanwhile is a gap in `n`, nothing is said twice
        assert runtime.of("stop") == []


def test_consent_that_was_lost_with_the_connection_is_given_again(browser: Any, pages: Pages) -> None:
    runtime = FakeRuntime()
    with visit(browser, pages, runtime, agree=False) as page:
        page.evaluate("""() => {
          const { send } = WebSocket.prototype;
          let lost = 0;
          WebSocket.prototype.send = function (data) {
            if (!new TextDecoder().decode(data).includes('"t":"consent"') || lost++) send.call(this, data);
          };
        }""")
        page.get_by_role("button", name="Agree").click()
        page.wait_for_function("talk.state === 'talking'")
        assert runtime.of("consent") == []
        carrier = page.carrier
        carrier._loop.call_soon_threadsafe(carrier._current.transport.abort)
        until(lambda: page.evaluate("talk.timeline.record.last") > 2, page)
        (given,) = runtime.of("consent")
        assert given["given"]
        assert "May echo hear you?" in given["text"]


def test_consent_is_of_one_session_and_nothing_is_captured_for_the_next_until_it_is_given_again(browser: Any, pages: Pages) -> None:
    runtime = FakeRuntime()
    with visit(browser, pages, runtime, agree=False) as page:
        watched_talk(page, runtime)
        runtime.session = "s2"  # the server was begun anew meanwhile
        carrier = page.carrier
        carrier._loop.call_soon_threadsafe(carrier._current.transport.abort)
        page.wait_for_function("talk.welcome?.session === 's2' && talk.state === 'asking'")
        heard = len(runtime.of("audio"))
        assert page.evaluate("window.opened.map((track) => track.readyState)") == ["ended"]
        carrier._loop.call_soon_threadsafe(carrier._current.transport.abort)
        until(lambda: len(runtime.of("hello")) == 3, page)
        page.wait_for_timeout(300)
        assert len(runtime.of("consent")) == 1, "that of the first session"
        assert len(runtime.of("audio")) == heard
        page.get_by_role("button", name="Agree").click()
        page.wait_for_function("talk.state === 'talking'")
        until(lambda: len(runtime.of("audio")) > heard + 2, page)
        assert len(runtime.of("consent")) == 2


def test_what_still_comes_of_the_session_before_is_not_taken_for_the_next_ones(browser: Any, pages: Pages) -> None:
    page = browser.new_page()
    page.goto(pages.address)
    page.wait_for_function("window.ready")
    told = page.evaluate("""() => {
      const told = [];
      let hears;
      const carrier = { name: "panel", reason: "", again: null, open(ears) { hears = ears; ears.up(); }, send() {}, close() {} };
      const link = client.connect({ carrier });
      for (const type of ["tick", "end", "welcome"]) link.on(type, ({ of }) => told.push(`${type} of ${of}`));
      link.on("state", (state) => told.push(state)).start();
      const sent = ["tick one", "end one", "welcome two", "tick two", "end two"].map((each) => each.split(" "));
      for (const [t, of] of sent) hears.message({ t, of }, []);
      return told;
    }""")
    page.close()
    assert told == ["connecting", "open", "welcome of two", "tick of two", "end of two", "ended"]


def test_a_server_that_falls_silent_is_asked_again_and_then_given_up(browser: Any, pages: Pages) -> None:
    runtime = FakeRuntime()
    with visit(browser, pages, runtime, options="graceMs: 2500, silenceMs: 800,") as page:
        until(lambda: page.evaluate("talk.timeline.record.last") > 2, page)
        runtime.silent.set()
        shown = "['trouble', 'recording'].map((name) => document.querySelector(`.mt-${name}`).innerText)"
        told, recording = page.wait_for_function(f"talk.state === 'waiting' && {shown}").json_value()  # at once: it is given up soon
        assert "Nothing came" in told
        assert recording == "recording, connection lost"
        page.wait_for_function("talk.state === 'ended'")
        assert "Check that the kernel or the server runs" in page.get_by_role("alert").inner_text()
        assert runtime.of("hello")[-1]["resume"] == "again"


def test_a_start_that_is_denied_ends_at_once_and_says_why(browser: Any, pages: Pages) -> None:
    page = browser.new_page()
    page.goto(pages.address)
    page.wait_for_function("window.ready")
    told = page.evaluate("""() => {
      window.WebSocket = class { constructor() { window.socket = this; } send() {} close() {} };
      const ended = (answer) => {
        const told = [], carrier = client.socketCarrier("ws://nowhere");
        let hears;
        const link = client.connect({ carrier: { ...carrier, open(ears) { hears = ears; carrier.open(ears); } } });
        link.on("state", (state) => told.push(state)).on("problem", ({ text }) => told.push(text)).start();
        socket.onopen();
        answer(hears);
        return told;
      };
      return [
        ended(({ message }) => message({ t: "problem", code: "full", text: "full: try in 3 minutes" }, [])),
        ended(() => socket.onclose({ code: 4003, reason: "log in again" })),
      ];
    }""")
    page.close()
    assert told == [
        ["connecting", "full: try in 3 minutes", "ended"],
        ["connecting", "The server refused this page: log in again", "ended"],
    ]


def test_typed_text_is_sent_written_and_marked(browser: Any, pages: Pages) -> None:
    runtime = FakeRuntime()
    with visit(browser, pages, runtime) as page:
        page.get_by_label("Type to the agent").fill("what is two plus three")
        page.keyboard.press("Enter")
        until(lambda: runtime.of("text") == [{"t": "text", "text": "what is two plus three"}], page)
        assert "what is two plus three" in page.get_by_role("log").inner_text()
        assert page.evaluate("talk.timeline.record.words.map((word) => word.side)") == ["typed"]
        page.get_by_label("Threshold of p(speak)").fill("0.7")
        until(lambda: runtime.of("set") == [{"t": "set", "name": "threshold", "value": 0.7}], page)


def test_a_rule_of_speaking_is_set_while_the_session_goes_on(browser: Any, pages: Pages) -> None:
    runtime = FakeRuntime()
    runtime.dials = [DIALS["barge-in"].told(2.0), DIALS["max overlap"].told(1.0), DIALS["quiet hours"].told(0.0, "22:00 to 07:00")]
    with visit(browser, pages, runtime) as page:
        page.get_by_text("Rules of speaking").click()
        overlap = page.get_by_label("Both at once for at most")
        told = page.locator(".mt-dials output")
        assert (overlap.input_value(), told.all_inner_texts()) == ("1", ["1 s", "22:00 to 07:00"])
        overlap.fill("5")
        page.get_by_label("It is quiet, from now on, for").fill("10")
        assert told.all_inner_texts() == ["no rule", "10 min"]
        page.get_by_label("When you begin to speak while it does").select_option("it ends the word")
        until(lambda: len(runtime.of("set")) == 3, page)
        moves = [(message["name"], message["value"]) for message in runtime.of("set")]
        assert moves == [("max overlap", 5), ("quiet hours", 10), ("barge-in", 1)]
        page.get_by_role("button", name="Stop").click()
        assert overlap.is_disabled()


@pytest.mark.parametrize("source", ["Camera", "Screen"])
def test_two_small_pictures_a_tick_are_sent(browser: Any, pages: Pages, source: str) -> None:
    runtime = FakeRuntime()
    with visit(browser, pages, runtime, permissions=["microphone", "camera"]) as page:
        page.get_by_role("button", name=source).click()
        until(lambda: len(runtime.of("frame")) >= 2, page)
        (message, (pixels,)) = next((m, b) for m, b in runtime.heard if m["t"] == "frame")
        assert (message["w"], message["h"], message["count"], len(pixels)) == (32, 32, 2, 2 * 32 * 32 * 3)
        page.get_by_role("button", name=source).click()


def test_of_two_presses_while_a_camera_opens_the_last_counts_and_stop_leaves_none_open(browser: Any, pages: Pages) -> None:
    runtime = FakeRuntime()
    with visit(browser, pages, runtime, permissions=["microphone", "camera"]) as page:
        page.evaluate(WATCHED)
        page.get_by_role("button", name="Camera").evaluate("(camera) => { camera.click(); camera.click(); }")
        page.wait_for_selector("[aria-pressed=true]")
        page.wait_for_function("window.opened.length === 2 && window.opened.filter((track) => track.readyState === 'live').length === 1")
        page.get_by_role("button", name="Stop").click()
        page.wait_for_function("window.opened.every((track) => track.readyState === 'ended')")


def test_a_camera_that_shows_nothing_is_closed_and_said_so(browser: Any, pages: Pages) -> None:
    runtime = FakeRuntime()
    with visit(browser, pages, runtime, permissions=["microphone", "camera"]) as page:
        page.evaluate(WATCHED)
        page.evaluate("() => { HTMLVideoElement.prototype.play = async () => { throw new DOMException('no', 'AbortError'); }; }")
        page.get_by_role("button", name="Camera").click()
        page.wait_for_selector(".mt-trouble:not([hidden])")
        assert "The camera shows nothing (AbortError)" in page.get_by_role("alert").inner_text()
        assert page.evaluate("window.opened.map((track) => track.readyState)") == ["ended"]


def test_another_page_takes_the_session_over_and_the_first_says_so(browser: Any, pages: Pages) -> None:
    runtime = FakeRuntime()
    with visit(browser, pages, runtime) as page:
        page.evaluate("(address) => { window.other = new WebSocket(address); }", page.carrier.address)
        page.wait_for_function("talk.state === 'ended'")
        assert "opened in another page" in page.get_by_role("alert").inner_text()


def test_every_control_is_reached_by_the_keyboard_and_has_a_name(browser: Any, pages: Pages) -> None:
    with visit(browser, pages, FakeRuntime(), viewport={"width": 390, "height": 800}) as page:
        page.get_by_role("button", name="Stop").focus()
        names = []
        for _ in range(10):
            page.keyboard.press("Tab")
            names.append(page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.textContent"))
        for name in ("Type to the agent", "Send", "Camera", "Screen", "Threshold of p(speak)", "Pause", "Show less time", "What was said"):
            assert name in names
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
