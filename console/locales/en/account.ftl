# Signing up, in and out, recovery, set-up.
field-name = Name
field-email = E-mail
field-password = Password
field-password-hint = At least 15 characters. A few words in a row are easy to remember and hard to guess.
field-new-password = New password

sign-in-title = Welcome back
sign-in-forgot = Forgot your password?
sign-in-new = New here?
sign-in-wrong = E-mail or password is wrong, or there were too many wrong tries. Wait a little and try again, or reset your password.
sign-in-closed = This account is closed. Ask the people who run this installation.
signed-out = You are signed out.

sign-up-title = Create an account
sign-up-text = You get a wallet of your own. Nothing to pay before you use it.
sign-up-button = Create account
sign-up-have = Already have an account?
sign-up-taken = This address cannot be used for a new account. If it is yours, sign in or reset the password.
sign-up-closed-title = Sign-up is closed
sign-up-closed-text = Accounts of this installation are made by the people who run it.

name-empty = Enter a name.
name-long = At most 80 characters.
email-malformed = That is not a mail address.
password-short = At least 15 characters.
password-long = At most 128 characters.
password-common = This password is among the first that are guessed. Take another.
password-personal = Leave your name, your address and the name of this service out of the password.
password-unprintable = Use letters, digits, signs and spaces only.

verify-title = Confirm your address
verify-text = One click, and receipts and recovery links reach you.
verify-button = Confirm address
verify-done = Your address is confirmed.
verify-stale-title = This link no longer works
verify-stale-text = It was used already or is older than a day. Ask for a new one.

recover-title = Reset your password
recover-text = Enter your address and we send you a link. It works for one hour.
recover-button = Send link
recover-back = Back to signing in
recover-sent-title = Look into your mailbox
recover-sent-text = If the address belongs to an account, a link is on its way. It works once and for one hour.
reset-title = Choose a new password
reset-text = You are signed out everywhere else afterwards.
reset-button = Save password
reset-done = Your new password works. Sign in with it.
reset-stale-title = This link no longer works
reset-stale-text = It was used already or is older than an hour. Ask for a new one.
reset-again = Ask for a new link

setup-title = Set up this installation
setup-text = Create the first operator account. The link works once.
setup-button = Create operator account
setup-done = You run this installation now. The list below leads to the first call.
setup-stale-title = This link no longer works
setup-stale-text = The installation has an operator already, or the link is mistyped. Sign in, or start the server anew to have a link printed.

sign-up-sent-title = Look into your mailbox
sign-up-sent-text = We have sent a mail with a link that confirms your address. After that you can sign in. The link works for a day.
sign-in-unverified = Confirm your address first: the link is in the mail we have sent you.
name-unprintable = A name holds letters, digits, signs and spaces only.
email-empty = Enter a mail address.
verify-again = Send the mail again
verify-again-text = Enter the address you signed up with.
verify-sent-text = If the address belongs to an account that is not confirmed yet, a new link is on its way.
