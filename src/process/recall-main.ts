/**
 * The program of a worker's second thread, where there is no addon: it takes pushes back while the worker's own thread is
 * in synchronous code. Both share the claim words; the raylet asks by a pipe that it has made for that, and nobody else has.
 */
import { Socket } from "node:net";
import { parentPort, workerData } from "node:worker_threads";
import { RayletClaims } from "../core/executor/claim-words.js";
import { RecallRequests, type RecallThreadData, recallAnswer } from "./recall-pipe.js";

const { words, fd } = workerData as RecallThreadData;
const claims = new RayletClaims(new Int32Array(words));
const pipe = new Socket({ fd, readable: true, writable: true });
const requests = new RecallRequests((claim, upTo) => void pipe.write(recallAnswer(claims.recall(claim, upTo))));
pipe.on("data", (chunk) => requests.push(chunk));
pipe.on("error", () => pipe.destroy()); // the raylet is gone, and this process with it
parentPort?.postMessage("ready");
