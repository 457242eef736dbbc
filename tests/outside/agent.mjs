// A little agent over the official Node SDKs: one tool that writes a file, called until the model has no call left.
// It says what it was answered, or the SDK's own error.

import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const task = JSON.parse(process.argv[2]);
const packages = createRequire(`${process.env.TEST_CLIENTS}/package.json`);
const load = async (name) => (await import(pathToFileURL(packages.resolve(name)).href)).default;

const parameters = {
  type: "object",
  properties: { path: { type: "string" }, content: { type: "string" } },
  required: ["path", "content"],
  additionalProperties: false,
};
const description = "Writes a file.";

function write({ path, content }) {
  writeFileSync(path, content);
  return "written";
}

async function openai() {
  const OpenAI = await load("openai");
  return new OpenAI({ apiKey: task.key, baseURL: `${task.base_url}/v1`, maxRetries: 0 });
}

async function chat() {
  const client = await openai();
  const messages = [{ role: "user", content: task.prompt }];
  const tools = [{ type: "function", function: { name: "write_file", description, parameters } }];
  for (;;) {
    const stream = client.chat.completions.stream({ model: task.model, messages, tools, stream_options: { include_usage: true } });
    const { message } = (await stream.finalChatCompletion()).choices[0];
    messages.push(message);
    if (!message.tool_calls?.length) return message.content;
    for (const call of message.tool_calls) {
      const content = write(JSON.parse(call.function.arguments));
      messages.push({ role: "tool", tool_call_id: call.id, content });
    }
  }
}

async function responses() {
  const client = await openai();
  const input = [{ role: "user", content: task.prompt }];
  const tools = [{ type: "function", name: "write_file", description, parameters, strict: true }];
  for (;;) {
    const response = await client.responses.stream({ model: task.model, input, tools, store: false }).finalResponse();
    input.push(...response.output.map(({ parsed_arguments, ...item }) => item));
    const calls = response.output.filter((item) => item.type === "function_call");
    if (!calls.length) return response.output_text;
    for (const call of calls) {
      input.push({ type: "function_call_output", call_id: call.call_id, output: write(JSON.parse(call.arguments)) });
    }
  }
}

async function messages() {
  const Anthropic = await load("@anthropic-ai/sdk");
  const client = new Anthropic({ apiKey: task.key, baseURL: task.base_url, maxRetries: 0 });
  const said = [{ role: "user", content: task.prompt }];
  const tools = [{ name: "write_file", description, input_schema: parameters }];
  for (;;) {
    // The first turn streams, the second does not, so that both ways are walked.
    const order = { model: task.model, max_tokens: 8000, messages: said, tools };
    const answer = said.length === 1 ? await client.messages.stream(order).finalMessage() : await client.messages.create(order);
    said.push({ role: "assistant", content: answer.content });
    const calls = answer.content.filter((block) => block.type === "tool_use");
    if (!calls.length) return answer.content.map((block) => block.text).join("");
    said.push({
      role: "user",
      content: calls.map((call) => ({ type: "tool_result", tool_use_id: call.id, content: write(call.input) })),
    });
  }
}

try {
  console.log(await { chat, responses, messages }[task.protocol]());
} catch (error) {
  console.error(`${error.constructor.name} ${error.status}: ${error.message}`);
  process.exit(1);
}
