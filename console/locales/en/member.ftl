# Pages of a member.
cancel = Cancel
save = Save
all = All
filter = Filter
never = Never

col-time = Time
col-model = Model
col-key = Key
col-input = Input
col-output = Output
col-cost = Cost
col-name = Name
col-group = Group
col-status = Status
col-last-used = Last used
col-expires = Expires
col-actions = Actions
col-what = What
col-credits = Credits
col-price = Price
col-tokens = Count
col-rate = Credits per million
col-subtotal = Subtotal
col-reason = Reason
col-client = Client
col-browser = Browser
col-address = Address
col-signed-in = Signed in
col-last-seen = Last seen

overview-hello = Hello, { $name }
overview-debt = Your account owes { $debt } credits. Calls are refused until it is balanced; the next credits you add pay it first.
overview-figures = Your figures
overview-balance = Available
overview-balance-note = Credits you can spend now
overview-held = Held
overview-held-note = { $count ->
        [0] No call is running
        [one] For one running call
       *[other] For { $count } running calls
    }
overview-spent = Spent in 30 days
overview-spent-note = { $count ->
        [0] No calls yet
        [one] One call
       *[other] { $count } calls
    }
overview-plan = Plan
overview-plan-none = None
overview-plan-none-note = You pay from your balance
overview-windows = Limits of your plan
overview-window-day = { $name }, per day
overview-window-week = { $name }, per week
overview-window-month = { $name }, per month
overview-window-hours = { $name }, per { $hours } hours from first use
overview-window-credits = { $amount } credits
overview-window-requests = { $count ->
    [one] { $count } call
   *[other] { $count } calls
}
overview-window-resets = Starts anew
overview-plan-until = Until { $date }
overview-plan-renews = Renews on { $date }
overview-calls = Last calls
overview-all-calls = All calls

steps-title = Four steps to your first call
steps-text = About two minutes.
steps-account = Create an account
steps-credits = Add credits
steps-credits-text = Redeem a code or buy a pack.
steps-key = Create a key
steps-key-text = With the lines to paste for your client.
steps-call = Make a call
steps-call-text = Claude Code, Codex, OpenCode, an SDK or curl: the docs have one page each.

usage-title = Usage
usage-text = Every finished call and what it cost, newest first.
usage-none-title = No calls yet
usage-none-text = Calls appear here as soon as they have ended, with tokens and cost.
usage-calls = { $count ->
        [one] One call
       *[other] { $count } calls
    }
usage-sum = Together
field-from = From
field-until = Until

finish-complete = Complete
finish-client-gone = Client hung up
finish-upstream-cut = Cut off upstream
finish-upstream-error = Upstream error
finish-stalled = Upstream stalled
finish-credit-exhausted = Credits ran out
finish-shutdown = Server restarted
finish-lost = Ended by the sweeper
quality-exact = Counted by the provider
quality-counted = Counted by us
quality-checkpoint = By the last checkpoint
quality-none = Nothing was delivered

call-title = Call
call-figures = Figures of the call
call-cost = Cost
call-held = Held
call-held-note = Reserved before the call, released after it
call-first-byte = First byte
call-duration = Duration
call-lines = How the cost came about
call-lines-text = The sum is rounded up once, to the next nano-credit.
call-free = Nothing was charged.
call-multiplier = Multiplier of the group and plan
call-charged = Charged
call-facts = Details
class-input = Input
class-cache-read = Input from cache
class-cache-write-short = Written to cache (minutes)
class-cache-write-long = Written to cache (hours)
class-output = Output
class-request = Request
fact-time = Started
fact-model = Model
fact-key = Key
fact-group = Group
fact-protocol = Protocol
fact-client = Client
fact-streamed = Streamed
fact-reasoning = Reasoning tokens in the output
fact-id = Request id
yes = Yes
no = No

rejections-text = Calls of your keys that were refused, why, and how to mend it. Refused calls cost nothing.
rejections-none-title = Nothing was refused
rejections-none-text = When a call of your keys is refused, the reason and the way out stand here.
rejections-times = { $count } times

settings-profile = Profile
settings-verified = Confirmed
settings-unverified = Not confirmed
settings-saved = Saved.
settings-password-text = Changing it signs out every other browser.
password-title = Change password
password-text = You stay signed in here. Every other browser is signed out.
field-present-password = Present password
password-change = Change password
password-present-wrong = This is not your present password.
password-changed = Your password is changed. Every other browser is signed out.
field-language = Language
field-language-hint = Of pages and mail.
tenants-title = Tenants
tenants-text = You belong to more than one. Pages show one at a time: its credits, keys and usage.
tenants-col-name = Tenant
tenants-this = Shown now
tenants-switch = Show this one
tenants-switched = You now see this tenant.

sessions-title = Sessions
sessions-text = Browsers that are signed in to your account.
sessions-this = This one
sessions-end = Sign out
sessions-end-others = Sign out all others
sessions-ended = Signed out.
browser-unknown = Unknown browser
browser-on = { $browser } on { $system }

redeem-text = A code adds credits or a plan to your account.
field-code = Code
field-code-hint = 25 letters and digits. Upper or lower case, with or without dashes.
redeem-button = Redeem
redeemed-title = Redeemed
redeemed-plan = Plan { $plan }
redeemed-credits = Credits
redeem-credits-done = { $credits } credits were added.
redeem-plan-done = Your plan is active.
code-empty = Enter a code.
code-form = A code has 25 letters and digits, in groups of five. This has more or fewer, or a sign that codes do not use.
code-mistyped = A letter or digit is wrong, or two are swapped. Compare it with the original.
code-unknown = This code is not known. Check that it is for this installation.
code-not-yet = This code works from { $date } on.
code-ended = This code was valid until { $date }.
code-disabled = This code was switched off. Ask whoever gave it to you.
code-used-up = This code has been used up.
code-redeemed-here = You have redeemed this code already.
code-not-for-you = This code is for other accounts.
code-plan-gone = The plan behind this code is no longer offered. Ask whoever gave it to you.

buy-text = Credits are there as soon as the payment has arrived. They do not expire unless the pack says so.
buy-pack = Pack
buy-button = Order
buy-note = You pay on the provider's own page. We never see your card.
buy-choose = Choose a pack.
buy-too-many = You have several unpaid orders. Pay one of them or let them lapse first.
buy-unavailable = The payment provider did not answer. Nothing was charged; please try again in a moment.
pack-credits = { $credits } credits
pack-bonus = { $credits } credits, { $bonus } of them free
orders-title = Orders
order-title = Order
order-number = Order number
order-pay = Pay now
order-waiting = This page looks for news every five seconds.
order-created = Preparing
order-session-open = Ready to pay
order-awaiting-funds = Payment under way
order-credited = Credited
order-partially-refunded = Partly refunded
order-refunded = Refunded
order-disputed = Disputed
order-charged-back = Charged back
order-expired = Expired
order-canceled = Canceled
order-failed = Failed
order-review = Under review
order-created-text = The payment page is being prepared.
order-session-open-text = Pay on the provider's page; the credits follow at once.
order-awaiting-funds-text = The provider has taken your order and waits for the money. Some methods take days.
order-credited-text = The credits are in your wallet.
order-ended-text = This order is closed. Nothing more will be charged.
order-review-text = Something did not match. The people who run this installation are looking into it.

language-unknown = Choose one of the listed languages.
browser-only = { $name }
