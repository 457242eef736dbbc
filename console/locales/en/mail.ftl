# Letters.
mail-hello = Hello { $name },
mail-link-instead = If the button does not work, open this address:
mail-verify-subject = Confirm your address for { $site }
mail-verify-text = Please confirm that this mailbox is yours. After that you can sign in to { $site }. The link works for a day.
mail-verify-button = Confirm address
mail-verify-foot = If you did not sign up, delete this mail. Nothing happens.
mail-recover-subject = A new password for { $site }
mail-recover-text = Somebody, hopefully you, asked for a new password for your account at { $site }. The link works once and for one hour.
mail-recover-button = Choose a new password
mail-recover-foot = If it was not you, delete this mail. Your password stays as it is.
mail-receipt-subject = Your receipt from { $site }
mail-receipt-text = Thank you. The payment has arrived and the credits are in your wallet at { $site }.
mail-receipt-link = Show the order
mail-receipt-foot = Keep this mail as your receipt.
mail-receipt-tax = Tax
mail-receipt-total = Total
