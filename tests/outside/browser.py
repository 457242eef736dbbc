"""A headless Chromium, driven as a person would: by labels, buttons and what stands on the page."""

import base64
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

FLAGS = [
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
]


@contextmanager
def chromium():
    """Ends with the browser closed and its profile gone."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory() as profile:
        # Chromium's own sandbox refuses to run as root, which containers and CI are.
        root = ["--no-sandbox"] if os.getuid() == 0 else []
        for flag in [*FLAGS, *root, f"--user-data-dir={profile}"]:
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        try:
            yield Person(driver)
        finally:
            driver.quit()


class Person:
    """Who sits before the browser."""

    def __init__(self, driver):
        self.driver = driver
        self.base_url = ""

    def opens(self, path):
        self.driver.get(self.base_url + path)
        return self

    def sees(self, css):
        """The one thing of that kind on the page."""
        found = self.driver.find_elements(By.CSS_SELECTOR, css)
        assert found, f"{css} is not on {self.driver.current_url}: {self.text()[:2000]}"
        return found[0]

    def all(self, css):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def text(self):
        return self.driver.find_element(By.TAG_NAME, "body").text

    def fills(self, **fields):
        for name, value in fields.items():
            field = self.sees(f"main [name='{name}']")
            field.clear()
            field.send_keys(value)
        return self

    def sends(self):
        """Presses the page's main button and waits for the next page."""
        page = self.driver.find_element(By.TAG_NAME, "html")
        self.sees("main form .button.primary").click()
        WebDriverWait(self.driver, 20).until(lambda driver: driver.find_element(By.TAG_NAME, "html") != page)
        return self

    def signs_in(self, who):
        self.opens("/console/sign-in").fills(email=who["email"], password=who["password"]).sends()
        assert "/console/sign-in" not in self.driver.current_url, self.text()
        return self

    def forgets(self):
        self.driver.delete_all_cookies()
        return self

    def complaints(self):
        """Errors in the browser's console since the last look: scripts, blocked resources, broken policies."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def looks_through(self, width, theme, language):
        command = self.driver.execute_cdp_cmd
        command("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": 844 if width < 600 else 900, "deviceScaleFactor": 1, "mobile": False,
        })
        # Without motion, no picture is taken amid a change of colours.
        command("Emulation.setEmulatedMedia", {"features": [
            {"name": "prefers-color-scheme", "value": theme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]})
        command("Network.enable", {})
        command("Network.setExtraHTTPHeaders", {"headers": {"Accept-Language": language}})

    def overflow(self):
        """Pixels by which the page is wider than the window, and what sticks out."""
        return self.driver.execute_script("""
            const wide = document.documentElement.scrollWidth - innerWidth;
            if (wide <= 0) return null;
            const out = [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1);
            return `${wide}px: ` + out.slice(-3).map(e => e.outerHTML.slice(0, 120)).join(" | ");
        """)

    def pictures(self, file: Path):
        file.parent.mkdir(parents=True, exist_ok=True)
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
        file.write_bytes(base64.b64decode(shot["data"]))
