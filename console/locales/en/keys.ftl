# Keys and how clients are connected.
keys-text = A key lets a client spend your credits. Give each client its own, so that you can switch one off.
keys-create = Create key
keys-create-text = The key is shown once, with the lines to paste for your client.
keys-none-title = No keys yet
keys-none-text = Create one and paste its lines into Claude Code, Codex, OpenCode or your own program.
keys-disable = Disable
keys-enable = Enable
keys-revoke = Revoke
key-active = Active
key-disabled = Disabled
key-expired = Expired
key-revoked = Revoked
keys-disabled-done = The key is disabled. Its calls are refused from now on.
keys-enabled-done = The key works again.
keys-revoked-done = The key is revoked.
field-key-name = Name
field-key-name-hint = Where it is used: “Laptop, Claude Code”.
field-group = Group
field-group-default = Standard
group-factor = Price × { $factor }
group-factor-clients = Price × { $factor } · for { $clients } only
group-wanted = Choose a group.
group-none = No group is open for keys. Ask the people who run this installation.
field-expiry = Expires
field-expiry-hint = After that its calls are refused.
expiry-never = Never
expiry-week = In 7 days
expiry-month = In 30 days
expiry-quarter = In 90 days
expiry-year = In one year
expiry-unknown = Choose one of the listed times.
field-spend = Spend cap in credits (optional)
field-spend-hint = Calls stop there until the window is over. Empty means no cap.
field-window = In each
window-month = Month
window-week = Week
window-day = Day
window-hours = Five hours from first use
field-calls = Calls at once (optional)
field-calls-hint = One more waits a moment and is then refused. Empty means no limit.
keys-many = You have as many keys as one member may hold. Revoke one that you no longer use.
keys-fast = You have made 20 keys within the last hour, which is the most. The next can be made in { $minutes ->
    [one] one minute
   *[other] { $minutes } minutes
}.
keys-refused = Your role may not hold keys. Ask the owner of the account.

issued-title = Your new key
issued-text = “{ $name }” is ready.
issued-key = Key
issued-once = Copy it now. It is stored nowhere and cannot be shown again; if you lose it, create another.
issued-done = Done
connect-title = Connect a client
connect-text = Pick your client and paste.
connect-no-model = No model is on sale in this group yet, so the lines below hold an example name. Ask the people who run this installation.
connect-switch = Open in cc-switch, the quickest way:
connect-switch-note = Opens cc-switch on this computer with address, key and model filled in.
connect-curl = Lists your models, then asks one. Works in any terminal.
connect-openai-sdk = Python, official package. The base URL ends in /v1.
connect-anthropic-sdk = Python, official package. The base URL has no /v1.
connect-claude-code = The base URL has no /v1. Paste into the terminal you start Claude Code from, or put it into the settings file to keep it.
connect-codex = Put the first block into the configuration, the second into your terminal. The base URL ends in /v1.
connect-opencode = Put the first block into the configuration, the second into your terminal. The base URL ends in /v1.
connect-openclaw = Put the first block into the configuration, the second into your terminal. The base URL ends in /v1.

revoke-title = Revoke key
revoke-text = Revoke “{ $name }” for good? Its calls are refused from now on, and it cannot be brought back.
revoke-instead = To stop it for a while only, disable it instead.
revoke-button = Revoke for good

keys-revoked-already = The key is revoked for good. Create another.
keys-banned = Your membership is banned, so you cannot make keys. Ask the people who run this installation.
key-name-long = At most 60 characters.

# Limits of keys.
keys-limits = Limits
keys-limits-title = Limits of { $name }
keys-limits-used = Used so far
keys-limits-done = The limits are set. They bind at the next call.
field-limit-models = Count only these models (optional)
field-limit-models-hint = Names apart by spaces; * stands for anything: claude-*. Empty counts every model.
field-requests = Calls in a window (optional)
field-requests-hint = Calls stop there until the window is over. Empty means no limit.
field-rpm = Calls a minute (optional)
field-tpm = Tokens a minute (optional)
field-rate-hint = Approximate; smooths bursts. Empty means no limit.
field-pay-order = What pays for its calls
field-pay-order-hint = Which credits its calls may use, and which come first.
limit-models-without = Say how many credits, or leave the models empty.
limit-models-fault = A name has no spaces and at most 128 characters.
pay-plan-then-wallet = The plan first, then the wallet
pay-plan-only = The plan only
pay-wallet-only = The wallet only
