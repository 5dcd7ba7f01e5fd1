/* bullmq.js - jobs on BullMQ, as its manual shows it; rows_queue.py runs it.
 *
 *   node bullmq.js add PORT SECONDS    IN_FLIGHT adds are waited for at any time
 *   node bullmq.js jobs PORT SECONDS   the same adds for SECONDS, and a worker in a process of its
 *                                      own does them; counts until the last is done
 *
 * Adds in flight share a write to Redis and a sync: addBulk of as many measured no faster. Jobs
 * stay when they are completed, as is the default. NODE_PATH is where npm put bullmq; the
 * parameters of a job are in JOBTAB_BENCH_PARAMS. Prints one line of JSON.
 */
'use strict';
const { fork } = require('child_process');
const { Queue, Worker } = require('bullmq');

const IN_FLIGHT = 64;
const CONCURRENCY = 64;
const WARM_UP = 0.5; // seconds; V8 compiles what runs often
const [mode, port, seconds] = process.argv.slice(2).map((word, i) => (i ? +word : word));
const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null };
const name = 'bench';
const params = JSON.parse(process.env.JOBTAB_BENCH_PARAMS);
const now = () => performance.now() / 1000;

/* Add until the clock says `end`; onAdded after each. */
async function addUntil(queue, end, onAdded) {
    const one = async () => {
        while (now() < end) {
            await queue.add('noop', params);
            onAdded();
        }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, one));
}

async function add() {
    const queue = new Queue(name, { connection });
    await queue.waitUntilReady();
    let added = 0;
    await addUntil(queue, now() + WARM_UP, () => added++);
    const warm = added;
    const begin = now();
    const cpu = process.cpuUsage();
    await addUntil(queue, begin + seconds, () => added++);
    const took = now() - begin;
    const { user, system } = process.cpuUsage(cpu);
    await queue.close();
    return { rate: (added - warm) / took, jobs: added - warm, all_jobs: added, seconds: took,
        cpu_share: (user + system) / 1e6 / took };
}

/* The worker's process: says when as many jobs as its parent named are completed. */
function work() {
    let completed = 0;
    let wanted = Infinity;
    const tell = () => {
        if (completed >= wanted) {
            wanted = Infinity;
            process.send('done');
        }
    };
    const worker = new Worker(name, async () => {}, { connection, concurrency: CONCURRENCY });
    worker.on('completed', () => { completed++; tell(); });
    worker.waitUntilReady().then(() => process.send('ready'));
    process.on('message', (n) => { wanted = n; tell(); });
    process.on('disconnect', () => process.exit(0));
}

async function jobs() {
    const worker = fork(__filename, ['work', String(port)]);
    const said = (word) => new Promise((resolve, reject) => {
        worker.once('message', (got) => (got === word ? resolve() : reject(new Error(got))));
        worker.once('exit', () => reject(new Error('the worker ended')));
    });
    await said('ready');
    const queue = new Queue(name, { connection });
    let added = 0;
    const doneAll = () => { const done = said('done'); worker.send(added); return done; };
    await addUntil(queue, now() + WARM_UP, () => added++);
    await doneAll();

    const warm = added;
    const begin = now();
    await addUntil(queue, begin + seconds, () => added++);
    const adding = now() - begin;
    await doneAll();
    const took = now() - begin;
    worker.removeAllListeners('exit');
    const ended = new Promise((resolve) => worker.once('exit', resolve));
    worker.disconnect();
    await Promise.all([ended, queue.close()]);
    return { rate: (added - warm) / took, jobs: added - warm, all_jobs: added, seconds: took,
        adding };
}

if (mode === 'work')
    work();
else
    ({ add, jobs })[mode]().then((result) => console.log(JSON.stringify(result)));
