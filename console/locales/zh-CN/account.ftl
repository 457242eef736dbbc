# 注册、登录、退出、找回密码、初始设置。
field-name = 名称
field-email = 邮箱
field-password = 密码
field-password-hint = 至少 15 个字符。连用几个词，好记又难猜。
field-new-password = 新密码

sign-in-title = 欢迎回来
sign-in-forgot = 忘记密码？
sign-in-new = 还没有账号？
sign-in-wrong = 邮箱或密码错误，或错误次数过多。请稍等后重试，或重置密码。
sign-in-closed = 此账号已关闭。请联系本系统的运营人员。
signed-out = 你已退出登录。

sign-up-title = 创建账号
sign-up-text = 你会得到自己的钱包，使用之前无需付费。
sign-up-button = 创建账号
sign-up-have = 已有账号？
sign-up-taken = 此邮箱不能用于新账号。如果它是你的，请登录或重置密码。
sign-up-closed-title = 未开放注册
sign-up-closed-text = 本系统的账号由运营人员创建。

name-empty = 请输入名称。
name-long = 最多 80 个字符。
email-malformed = 这不是有效的邮箱地址。
password-short = 至少 15 个字符。
password-long = 最多 128 个字符。
password-common = 这个密码太常见，很容易被猜到，请换一个。
password-personal = 密码中请不要包含你的名称、邮箱或本服务的名称。
password-unprintable = 只能使用字母、数字、符号和空格。

verify-title = 确认你的邮箱
verify-text = 点一下，收据和找回链接就能送达。
verify-button = 确认邮箱
verify-done = 邮箱已确认。
verify-stale-title = 此链接已失效
verify-stale-text = 链接已使用过，或超过一天。请重新获取。

recover-title = 重置密码
recover-text = 输入你的邮箱，我们会发送一个链接，一小时内有效。
recover-button = 发送链接
recover-back = 返回登录
recover-sent-title = 请查看邮箱
recover-sent-text = 如果此邮箱对应一个账号，链接已在路上。链接只能使用一次，一小时内有效。
reset-title = 设置新密码
reset-text = 之后，其他地方的登录都会退出。
reset-button = 保存密码
reset-done = 新密码已生效，请用它登录。
reset-stale-title = 此链接已失效
reset-stale-text = 链接已使用过，或超过一小时。请重新获取。
reset-again = 重新获取链接

setup-title = 设置本系统
setup-text = 创建第一个运营账号。此链接只能使用一次。
setup-button = 创建运营账号
setup-done = 本系统现在由你运营。按照下面的清单即可完成第一次调用。
setup-stale-title = 此链接已失效
setup-stale-text = 本系统已有运营账号，或链接有误。请登录，或重启服务以重新打印链接。

sign-up-sent-title = 请查看邮箱
sign-up-sent-text = 我们已发送一封邮件，其中的链接用于确认你的邮箱，之后即可登录。链接一天内有效。
sign-in-unverified = 请先确认邮箱：链接在我们发送的邮件里。
name-unprintable = 名称只能包含字母、数字、符号和空格。
email-empty = 请输入邮箱地址。
verify-again = 重新发送邮件
verify-again-text = 输入你注册时使用的邮箱。
verify-sent-text = 如果此邮箱对应一个尚未确认的账号，新的链接已在路上。
