# 邮件。
mail-hello = { $name }，你好：
mail-link-instead = 如果按钮无法使用，请打开此地址：
mail-verify-subject = 确认你在 { $site } 的邮箱
mail-verify-text = 请确认此邮箱属于你，之后即可登录 { $site }。链接一天内有效。
mail-verify-button = 确认邮箱
mail-verify-foot = 如果不是你注册的，请删除此邮件，不会发生任何事情。
mail-recover-subject = 重置你在 { $site } 的密码
mail-recover-text = 有人（希望是你）请求重置你在 { $site } 的账号密码。链接只能使用一次，一小时内有效。
mail-recover-button = 设置新密码
mail-recover-foot = 如果不是你本人操作，请删除此邮件，密码不会改变。
mail-receipt-subject = 来自 { $site } 的收据
mail-receipt-text = 谢谢。款项已到账，额度已进入你在 { $site } 的钱包。
mail-receipt-link = 查看订单
mail-receipt-foot = 请保存此邮件作为收据。
mail-receipt-tax = 税费
mail-receipt-total = 合计
