// A scripted agent over plain HTTP: what the how-to shows, and a loop around it. It reads what to do
// from its last argument and writes where it stands to standard output.
import { appendFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { gated } from "./gated.mjs";

const { world, calls, thread } = JSON.parse(process.argv[2]);
const note = (tool, given) => {
  appendFileSync(`${world.folder}/ledger.jsonl`, JSON.stringify({ tool, ...given }) + "\n");
  if (world.fault === "dies") process.exit(9);
};
const tools = {
  transfer: ({ to, amount }) => (note("transfer", { to, amount }), `sent ${amount.toFixed(1)} to ${to}`),
  look_up: ({ name }) => (note("look_up", { name }), `${name} has account 7`),
};
const properties = { to: { type: "string" }, amount: { type: "number" }, ...(world.currency && { currency: { type: "string" } }) };
const schemas = {
  transfer: { type: "object", properties, required: ["to", "amount"] },
  look_up: { type: "object", properties: { name: { type: "string" } }, required: ["name"] },
};
const waiting = [], told = [], made = {};

async function settled(call) {
  const wish = JSON.stringify([thread, world.version, world.currency, call.name, call.arguments]);
  const stem = createHash("sha256").update(wish).digest("hex");
  for (let nth = (made[stem] = (made[stem] ?? 0) + 1), lapsed = 0; ; lapsed++) {
    const id = `${stem}-${nth}-${lapsed}`;
    const action = { name: call.name, arguments: call.arguments };
    const ticket = await gated(id, "cfo", action, schemas[call.name], tools[call.name], 0).catch(async (error) => {
      if (error.error === "used") return { id, status: "executing", decision: {} };
      if (["expired", "revoked"].includes(error.error)) return null;
      throw error;
    });
    if (ticket) return ticket;
  }
}

for (const turn of calls) {
  for (const call of turn) {
    const ticket = await settled(call);
    if (!ticket.decision) waiting.push(ticket.id);
    else if (ticket.receipt) told.push(String(ticket.receipt.result));
    else if (!ticket.permit && ticket.decision.corrective_prompt) told.push(ticket.decision.corrective_prompt);
    else told.push("Whether it took effect is not known; it is not run again.");
  }
  if (waiting.length) break;
}
process.stdout.write(JSON.stringify({ waiting, told }));
