# The frame around every page.
skip-to-content = Skip to content
choose-language = Language
choose-theme = Colours
theme-system = System
theme-light = Light
theme-dark = Dark
menu = Menu
copy = Copy
copied = Copied
sign-in = Sign in
sign-up = Sign up
sign-out = Sign out
open-console = Open console

nav-label = Main
nav-overview = Overview
nav-keys = Keys
nav-usage = Usage
nav-rejections = Rejected calls
nav-redeem = Redeem a code
nav-buy = Buy credits
nav-settings = Settings
nav-docs = Docs
nav-operator = Operator overview
nav-operator-title = Operator

home-title = LLM gateway
home-headline = One key for every model.
home-text = Point Claude Code, Codex, OpenCode, OpenClaw or any SDK at one address. You pay for the tokens you use, to the last digit, and every call says what it cost.
home-start = Create an account
home-base-url = Base URL for clients
home-features = What you get
home-clients = Your client, as it is
home-clients-text = OpenAI and Anthropic protocols at one address, with the lines to paste for each client.
home-bill = A bill you can check
home-bill-text = Every call lists its tokens, its prices and what was charged. Credits are held before a call and never overdrawn.
home-answers = Clear answers
home-answers-text = A refused call says why, how to mend it, and stays in your list. Refused calls cost nothing.

# Errors.
error-way-on = Go to the start page
error-sign-in = Please sign in
error-sign-in-text = This page is shown after signing in.
error-forbidden = This page is for operators
error-forbidden-text = Your account does not run this installation. If it should, ask an operator to change its role.
error-not-found = Nothing here
error-not-found-text = The page does not exist, or it belongs to another account.
error-method = That does not work here
error-method-text = The address exists, but not for this kind of request. Go back and use the page's own buttons.
error-forged = The form is out of date
error-forged-text = It was opened before you signed in or out, or it came from another site. Nothing was changed. Go back, reload the page and send it again.
error-malformed = The form could not be read
error-malformed-text = A field is missing or was not expected. Nothing was changed. Reload the page and try again.
error-too-large = The form is too large
error-too-large-text = Nothing was changed. Shorten the text and send it again.
error-too-slow = The form took too long to arrive
error-too-slow-text = Nothing was changed. Look at your connection and send it again.
error-too-many = Too many tries
error-too-many-text = Please wait { $seconds ->
        [one] one second
       *[other] { $seconds } seconds
    } and try again. Nothing was changed.
error-busy = Very busy at this moment
error-busy-text = Nothing was changed. Please try again in a few seconds.
error-internal = Something broke on our side
error-internal-text = It has been logged. Your credits are safe: nothing is booked in part. Please try again in a moment.

pages = Pages
newer = Newer
older = Older
nav-plans = Plans
