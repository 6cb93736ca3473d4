// A running `erne serve` for a test in Node: started on a free port, observed, stopped.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const BINARY = process.env.ERNE_BINARY ?? path.join(ROOT, 'build/release/erne');
const MODEL = process.env.ERNE_MODEL ?? path.join(ROOT, 'models/erne-tiny');
const START_MS = 60_000;

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}

/** Asks `question` every few milliseconds until it is truthy; says `what` when that takes too long. */
export async function until(what, question, limitMs = 5_000) {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const answer = await question();
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`not within ${limitMs} ms: ${what}`);
    await sleep(20);
  }
}

export class ErneServer {
  log = '';

  static start(...flags) {
    return this.startModel(MODEL, ...flags);
  }

  static async startModel(model, ...flags) {
    const server = new ErneServer();
    const port = await freePort();
    server.url = `http://127.0.0.1:${port}`;
    server.process = spawn(
      BINARY, ['serve', '--model', model, '--host', '127.0.0.1', '--port', String(port), ...flags], { cwd: ROOT });
    for (const stream of [server.process.stdout, server.process.stderr])
      stream.on('data', (text) => { server.log = (server.log + text).slice(-8000); });
    process.once('exit', () => server.process.kill('SIGKILL')); // whatever the tests came to
    await until('a healthy server', () => server.isHealthy(), START_MS);
    return server;
  }

  async isHealthy() {
    if (this.process.exitCode !== null) throw new Error(`erne ended with ${this.process.exitCode}:\n${this.log}`);
    return fetch(`${this.url}/health`).then((reply) => reply.ok, () => false);
  }

  /** A metric without labels. */
  async metric(name) {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const line = text.split('\n').find((candidate) => candidate.startsWith(`${name} `));
    if (line === undefined) throw new Error(`/metrics has no ${name}`);
    return Number(line.slice(name.length + 1));
  }

  async stop() {
    const exited = once(this.process, 'exit');
    this.process.kill('SIGTERM');
    const [status] = await exited;
    if (status !== 0) throw new Error(`erne ended with ${status} after SIGTERM:\n${this.log}`);
  }
}
