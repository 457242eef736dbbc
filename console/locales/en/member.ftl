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
col-rate = Credits per million tokens, or for one
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
call-multiplier = Multiplier of group, plan and tenant
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
call-repeats = This call repeats one that failed in the middle of its stream:
call-repeated-by = The client made this call once more, unstreamed, after it had failed in the middle:
yes = Yes
no = No

rejections-text = Calls of your keys that were refused, why, and how to mend it. Refused calls cost nothing.
rejections-none-title = Nothing was refused
rejections-none-text = When a call of your keys is refused, the reason and the way out stand here.
rejections-times = { $count } times
rejections-fix = What to do:
rejections-sent = What arrived
fix-use-group = Create a key in the group { $group } and use it in this client.
fix-use-client = Use this key with { $clients }, or ask the operator for a group that takes this client.
fix-update-client = Update the client to version { $version } or later.
fix-older-client = Use version { $version } of the client or an earlier one.
fix-use-path = Set the client to ask { $path }.
fix-name-model = Set a model in the client.
fix-pick-model = Choose a model from the list of models and copy its name exactly.
fix-pick-model-near = Set the model to one of: { $near }.
fix-other-model = Choose another model.
fix-other-plan = Choose a model that the plan includes, or another plan.
fix-send-key = Enter the key in the client, and restart it.
fix-new-key = Create a new key and enter it in the client.
fix-enable-key = Switch the key on again, or use another.
fix-add-credits = Add credits.
fix-raise-cap = Have the key's spend cap raised, or use another key.
fix-await-window = Wait until { $until }, or have the limit raised.
fix-slow-down = Make fewer calls at a time.
fix-ask-operator = Ask the operator of this service.
fix-mend-request = Mend the field that the message names.
fix-new-idempotency-key = Send another Idempotency-Key, if the call is to be made once more.
fix-shrink = Send less: a shorter conversation, or fewer and smaller pictures.
fix-base-url = Set the client's base URL as the page of the key shows it.
fix-try-later = Nothing is wrong on your side; try again in a moment.

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

# Plans.
plans-text = A plan gives credits and rules for each period. Its price is paid out of your wallet.
plans-own = Your plans
plans-none = You have no plan. You pay from your balance.
plans-offers = On offer
plans-no-offers = No plan is on offer at the moment. A code may still give you one.
plans-payable = Your wallet can pay
plans-active = Active
plans-canceling = Stops
plans-past-due = Unpaid
plans-ended = Ended
plans-renews = Renews on { $date } (UTC).
plans-ends = Ends on { $date } (UTC).
plans-past-due-note = The period that began on { $date } is not paid: the wallet had too little. It is tried again for three days; add credits to keep the plan.
plans-next = From { $date } on: { $plan }.
plans-left = Left of this period
plans-allowance = { $credits } credits each period
plans-each-day = a day
plans-each-week = a week
plans-each-month = a month
plans-each-year = a year
plans-change = Change plan
plans-cancel = Stop plan
plans-cancel-title = Stop { $plan }?
plans-cancel-text = Until then everything stays as it is, and you can change your mind.
plans-keep = Keep it
plans-resume = Keep after all
plans-cancelled = The plan stops when its period ends.
plans-resumed = The plan goes on.
plans-nothing-to-do = There was nothing to do: the plan has changed meanwhile.
plans-clock = The period is just turning over. Try again in a minute.
plans-not-yours = Your role does not pay for the account. Ask its owner.
plans-choose = Choose a plan.
plans-subscribe = Subscribe
plans-subscribe-title = Subscribe to { $plan }?
plans-subscribe-text = { $price } credits are taken from your wallet now, and again with each period until you stop.
plans-subscribed = Your plan is active.
plans-had = Yours
plans-has-it = You have this plan already.
plans-not-for-sale = This plan, or this version of it, is no longer on offer.
plans-not-there = It costs { $needed } credits, and your wallet has { $available } for it.
plans-too-dear = Your wallet has too little for it.
plans-change-title = Change { $plan }
plans-change-text = The running period ends on { $date } (UTC).
plans-no-others = There is no other plan to change to.
plans-next-is = The next period starts with { $plan }.
plans-keep-plan = Keep { $plan }
plans-due = To pay now
plans-extra = Credits for the rest of the period
plans-upgrade-now = Upgrade now
plans-at-end = Change on { $date }
plans-upgraded = Upgraded: { $due } credits paid, { $extra } credits added.
plans-changes = The plan changes on { $date } (UTC).
plans-kept = The plan stays.
plans-not-better = This is no step up. Change when the period ends.
plans-other-period = Its periods have another length, so it can start only when the running one ends.
plans-no-price = The present plan has no price in credits, so it cannot be set against this one.
plans-given = A code or an operator gave you this plan, so its next period is not yours to choose.
plans-proration = An upgrade keeps the running period. You pay the difference of the two prices for the time that is left, rounded up to the next nano-credit, and get the difference of the allowances for it, rounded down. What is left of the present allowance stays yours.
clause-allowed = Models: { $models }
clause-blocked = Not these models: { $models }
clause-groups = { $count ->
    [one] For keys of one group
   *[other] For keys of { $count } groups
}
clause-concurrency = { $count ->
    [one] One call at a time
   *[other] { $count } calls at once
}
clause-credits-day = { $amount } credits a day
clause-credits-day-of = { $amount } credits a day for { $models }
clause-credits-week = { $amount } credits a week
clause-credits-week-of = { $amount } credits a week for { $models }
clause-credits-month = { $amount } credits a month
clause-credits-month-of = { $amount } credits a month for { $models }
clause-credits-hours = { $amount } credits in { $hours } hours from first use
clause-credits-hours-of = { $amount } credits in { $hours } hours from first use for { $models }
clause-calls-day = { $amount } calls a day
clause-calls-day-of = { $amount } calls a day for { $models }
clause-calls-week = { $amount } calls a week
clause-calls-week-of = { $amount } calls a week for { $models }
clause-calls-month = { $amount } calls a month
clause-calls-month-of = { $amount } calls a month for { $models }
clause-calls-hours = { $amount } calls in { $hours } hours from first use
clause-calls-hours-of = { $amount } calls in { $hours } hours from first use for { $models }
clause-rate-both = { $requests } calls and { $tokens } tokens a minute
clause-rate-requests = { $requests } calls a minute
clause-rate-tokens = { $tokens } tokens a minute
clause-multiplier = Price × { $factor } for { $models }
clause-rollover = Up to { $cap } unused credits move to the next period
clause-lasts = { $count ->
    [one] Credits last one day
   *[other] Credits last { $count } days
}
clause-stacking = Place { $place } among several plans
nav-statement = Statement
export = Export as CSV
export-too-many = More than { $count } rows. Choose fewer days.
col-debt = Debt
col-balance = Balance
call-returned = Given back
call-net = In the end
class-input-audio = Sound in
class-input-image = Pictures in
class-reasoning = Reasoning
class-output-audio = Sound out
class-output-image = Pictures out
class-web-search = Web searches
class-file-search = File searches
statement-title = Statement
statement-text = Everything that moved the credits, newest first. Open a line to see the calls behind it.
statement-figures = Balances
statement-balance = Balance
statement-debt = Owed
statement-then = Balance then
statement-then-debt = Owed then
statement-at = Balance at (UTC)
statement-at-hint = Any time of the past.
statement-at-fault = Write a time of the past, such as 2026-11-18T09:30.
statement-look = Show
statement-lines = Lines
statement-none-title = Nothing yet
statement-none-text = The first line appears when credits come in.
posting-grant = Credits added
posting-settle = Calls
posting-expire = Credits lapsed
posting-adjust = Adjustment
posting-correct = Refund of a call
posting-refund = Refund of an order
posting-clawback = Taken back
posting-write-off = Debt written off
posting-import = Brought along
posting-id = Entry
posting-legs = What it moved
posting-lot-since = Credits of
posting-debt = Debt
posting-calls = Calls behind it
posting-paid = Paid from
posting-given-back = given back
code-enough = { $count ->
    [one] You have redeemed a code of this kind, and one is all a member may.
   *[other] You have redeemed { $count } codes of this kind, and a member may no more.
}
