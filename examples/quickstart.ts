/** The ten lines of the README: a cluster, a remote function, an object, an actor. */
import * as ray from "mobula";

const add = ray.remote((a: number, b: number) => a + b);

const Counter = ray.remote(
  class Counter {
    #count = 0;
    increment(by = 1): number {
      this.#count += by;
      return this.#count;
    }
  },
);

await ray.init();
const sum = add.remote(1, ray.put(2));
console.log(await ray.get(sum));

const counter = Counter.remote();
console.log(await ray.get([counter.increment.remote(), counter.increment.remote(2)]));
await ray.shutdown();
