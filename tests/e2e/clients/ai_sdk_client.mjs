// The Vercel AI SDK with @ai-sdk/openai: one scenario, whose result is printed as JSON.
import { createOpenAI } from "@ai-sdk/openai";
import { generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const [baseURL, name, scenario, serverUrl] = process.argv.slice(2);
const openai = createOpenAI({ baseURL, apiKey: "sk-client-key" });
const model = openai.responses(name);
const common = { model, maxRetries: 0 };

const scenarios = {
  async tools() {
    const get_weather = tool({
      description: "The weather of a city.",
      inputSchema: z.object({ city: z.string() }),
      execute: async ({ city }) => `snow in ${city}`,
    });
    const result = await generateText({
      ...common,
      prompt: "Weather in Oslo?",
      tools: { get_weather },
      stopWhen: stepCountIs(5),
    });
    return result.text;
  },
  async stream() {
    const texts = [];
    for await (const text of streamText({ ...common, prompt: "Count." }).textStream) texts.push(text);
    return texts;
  },
  async structured() {
    const schema = z.object({ name: z.string(), people: z.number() });
    return (await generateObject({ ...common, prompt: "A city.", schema })).object;
  },
  async chain() {
    const first = await generateText({ ...common, prompt: "My name is Ada." });
    const previousResponseId = first.providerMetadata.openai.responseId;
    const second = await generateText({
      ...common,
      prompt: "My name?",
      providerOptions: { openai: { previousResponseId } },
    });
    return second.text;
  },
  async mcp() {
    const everything = openai.tools.mcp({ serverLabel: "everything", serverUrl, requireApproval: "never" });
    const result = await generateText({ ...common, prompt: "Say hi.", tools: { everything } });
    return { text: result.text, results: result.toolResults.map(({ output }) => output.output) };
  },
};

console.log(JSON.stringify(await scenarios[scenario]()));
