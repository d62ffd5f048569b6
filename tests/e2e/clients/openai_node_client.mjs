// openai-node: one scenario, whose result is printed as JSON.
import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const [baseURL, model, scenario] = process.argv.slice(2);
const { responses } = new OpenAI({ baseURL, apiKey: "sk-client-key", maxRetries: 0 });

const get_weather = {
  type: "function",
  name: "get_weather",
  description: "The weather of a city.",
  parameters: {
    type: "object",
    properties: { city: { type: "string" } },
    required: ["city"],
    additionalProperties: false,
  },
  strict: true,
};

const scenarios = {
  async tools() {
    const input = [{ role: "user", content: "Weather in Oslo?" }];
    const turn = () => responses.stream({ model, input, tools: [get_weather] }).finalResponse();
    const { output } = await turn();
    input.push(...output);
    for (const { type, call_id, arguments: given } of output) {
      if (type === "function_call") {
        const result = `snow in ${JSON.parse(given).city}`;
        input.push({ type: "function_call_output", call_id, output: result });
      }
    }
    return (await turn()).output_text;
  },
  async stream() {
    const texts = [];
    for await (const event of await responses.create({ model, input: "Count.", stream: true })) {
      if (event.type === "response.output_text.delta") texts.push(event.delta);
    }
    return texts;
  },
  async structured() {
    const schema = z.object({ name: z.string(), people: z.number() });
    const format = zodTextFormat(schema, "city");
    return (await responses.parse({ model, input: "A city.", text: { format } })).output_parsed;
  },
  async chain() {
    const first = await responses.create({ model, input: "My name is Ada." });
    const second = await responses.create({ model, input: "My name?", previous_response_id: first.id });
    return second.output_text;
  },
};

console.log(JSON.stringify(await scenarios[scenario]()));
