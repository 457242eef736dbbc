# 每个页面的框架。
skip-to-content = 跳到正文
choose-language = 语言
choose-theme = 配色
theme-system = 跟随系统
theme-light = 浅色
theme-dark = 深色
menu = 菜单
copy = 复制
copied = 已复制
sign-in = 登录
sign-up = 注册
sign-out = 退出登录
open-console = 打开控制台

nav-label = 主导航
nav-overview = 概览
nav-keys = 密钥
nav-usage = 用量
nav-rejections = 被拒请求
nav-redeem = 兑换码
nav-buy = 购买额度
nav-settings = 设置
nav-docs = 文档
nav-operator = 运营概览
nav-operator-title = 运营

home-title = 大模型网关
home-headline = 一个密钥，所有模型。
home-text = 把 Claude Code、Codex、OpenCode、OpenClaw 或任意 SDK 指向同一个地址。按实际用量计费，精确到最后一位，每次调用都写明花费。
home-start = 创建账号
home-base-url = 客户端 Base URL
home-features = 你会得到
home-clients = 客户端照常使用
home-clients-text = 同一个地址支持 OpenAI 与 Anthropic 协议，并为每个客户端备好可粘贴的配置。
home-bill = 看得懂的账单
home-bill-text = 每次调用都列出 token、单价和实收。额度在调用前预留，不会透支。
home-answers = 清楚的答复
home-answers-text = 被拒的请求会说明原因和解决办法，并保留在列表中。被拒的请求不收费。

# 错误。
error-way-on = 返回首页
error-sign-in = 请先登录
error-sign-in-text = 登录后才能查看此页面。
error-forbidden = 此页面仅供运营人员使用
error-forbidden-text = 你的账号不负责运营本系统。如需权限，请联系运营人员调整角色。
error-not-found = 这里什么也没有
error-not-found-text = 页面不存在，或属于其他账号。
error-method = 这里不能这样操作
error-method-text = 地址存在，但不接受这种请求。请返回并使用页面上的按钮。
error-forged = 表单已过期
error-forged-text = 表单在你登录或退出之前打开，或来自其他网站。没有做任何更改。请返回、刷新页面后重新提交。
error-malformed = 无法读取表单
error-malformed-text = 缺少字段或出现了多余的字段。没有做任何更改。请刷新页面后重试。
error-too-large = 表单过大
error-too-large-text = 没有做任何更改。请缩短内容后重新提交。
error-too-slow = 表单传输超时
error-too-slow-text = 没有做任何更改。请检查网络连接后重新提交。
error-too-many = 尝试次数过多
error-too-many-text = 请等待 { $seconds } 秒后重试。没有做任何更改。
error-busy = 系统繁忙
error-busy-text = 没有做任何更改。请过几秒再试。
error-internal = 我们这边出了问题
error-internal-text = 问题已记录。你的额度是安全的：不会只记一半的账。请稍后重试。

pages = 分页
newer = 较新
older = 较早
