"""The page as Chromium shows it: what no reading of its text can tell."""

import shutil

import pytest

from storage.report.page import build_page

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]

SWITCHES = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip

CONTRASTS = """
const channel = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const parse = text => text.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const ground = element => {
  for (let one = element; one; one = one.parentElement) {
    const colour = parse(getComputedStyle(one).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const found = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.textContent.trim() || element.closest("style")) continue;
  const style = getComputedStyle(element);
  const ink = parse(element.closest("svg") ? style.fill : style.color);
  const [low, high] = [light(ink), light(ground(element))].sort((a, b) => a - b);
  found.push([(high + 0.05) / (low + 0.05), element.outerHTML.slice(0, 120)]);
}
return found;
"""
OVERFLOWING = """
return [...document.body.querySelectorAll("*")]
  .filter(one => one.getBoundingClientRect().right > innerWidth + 1)
  .filter(one => arguments[0] || !one.closest(".scroll"))
  .filter(one => !one.closest("svg") && !one.closest(".skip"))
  .map(one => one.outerHTML.slice(0, 120));
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Return a browser, or skip where this machine has none."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for switch in (*SWITCHES, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(switch)
    started = webdriver.Chrome(options=options, service=Service(driver))
    yield started
    started.quit()


@pytest.fixture
def page(browser, report, tmp_path):
    """Return the browser with the page in it, as on a desk."""
    path = tmp_path / "report.html"
    path.write_text(build_page(report), encoding="utf-8")
    seen(browser, width=1200)
    browser.get(path.as_uri())
    return browser


def seen(browser, *, width, media="screen", scheme="light"):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})


@pytest.mark.parametrize(
    ("media", "scheme"), [("screen", "light"), ("screen", "dark"), ("print", "light")]
)
def test_every_text_stands_out_from_its_ground(page, media, scheme):
    seen(page, width=1200, media=media, scheme=scheme)
    contrasts = page.execute_script(CONTRASTS)
    assert len(contrasts) > 300
    assert [text for value, text in contrasts if value < 4.5] == []


@pytest.mark.parametrize("width", [320, 390, 768, 1200])
def test_nothing_but_tables_is_wider_than_the_screen(page, width):
    seen(page, width=width)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    assert page.execute_script(OVERFLOWING, False) == []


def test_no_table_is_cut_on_paper(page):
    seen(page, width=703, media="print")  # A4 less the margins, at 96 pixels to the inch
    assert page.execute_script(OVERFLOWING, True) == []


def test_the_settings_are_open_on_paper(page):
    from selenium.webdriver.common.by import By

    setting = page.find_element(By.CSS_SELECTOR, "details tbody th")
    assert not setting.is_displayed()
    seen(page, width=703, media="print")
    assert setting.rect["height"] > 0


def test_nothing_is_asked_of_the_network_and_nothing_is_complained_of(page):
    assert page.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert page.get_log("browser") == []


def test_the_keyboard_reaches_the_skip_link_all_sections_and_every_table(page):
    from selenium.webdriver.common.keys import Keys

    names = []
    for _ in range(60):
        page.switch_to.active_element.send_keys(Keys.TAB)
        focused = page.switch_to.active_element
        if focused.tag_name == "body":
            break
        names.append(focused.get_attribute("href") or focused.get_attribute("aria-label"))
        outline = focused.value_of_css_property("outline-width")
        assert focused.tag_name == "summary" or outline == "3px"
    assert names[0].endswith("#outcome")
    assert sum("#" in str(name) for name in names) == 11
    assert "Evidence of each round" in names
    assert "Gains over controls" in names


def test_the_browser_reads_headings_pictures_and_tables_as_such(page):
    tree = page.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = [node.get("role", {}).get("value") for node in tree if not node.get("ignored")]
    names = {
        node["name"]["value"]
        for node in tree
        if node.get("role", {}).get("value") in {"image", "img"} and not node.get("ignored")
    }
    assert roles.count("table") >= 6
    assert roles.count("rowheader") > 20
    assert any("2 found, 6 missed, 6 false" in name for name in names)
    assert all(name.strip() for name in names)
    assert {"banner", "navigation", "main", "contentinfo"} <= set(roles)
