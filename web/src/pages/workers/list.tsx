// The workers, as cards or as a table.

import type { ComponentChildren } from "preact";
import { memo } from "preact/compat";
import type { Worker } from "../../api/types";
import { CopyButton, Time } from "../../ui/basics";
import { Badge, CurrentJob, DrainButton, Labels, Load, Memory, Name, Slots, Standing, System, Version } from "./facts";
import { stateOf } from "./model";
import { Strip } from "./strip";

export interface Activity {
  stepMs: number;
  until: number;
  byId: ReadonlyMap<string, string>;
}

export interface ListProps {
  workers: readonly Worker[];
  /** null: the gateway does not tell, or not yet. */
  activity: Activity | null;
  changed: () => void;
}

interface OneProps {
  worker: Worker;
  activity: Activity | null;
  changed: () => void;
}

function Day({ worker, activity }: { worker: Worker; activity: Activity | null }) {
  if (!activity) return null;
  return <Strip activity={activity.byId.get(worker.workerId) ?? ""} until={activity.until} stepMs={activity.stepMs} />;
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** The list is read anew every few seconds, and most of it stays as it was. */
function same(before: OneProps, after: OneProps): boolean {
  return (
    before.activity === after.activity &&
    before.changed === after.changed &&
    (before.worker === after.worker || JSON.stringify(before.worker) === JSON.stringify(after.worker))
  );
}

const Card = memo(function Card({ worker, activity, changed }: OneProps) {
  return (
    <li class={`panel worker-card worker-${stateOf(worker)}`}>
      <div class="worker-head">
        <h3>
          <Name text={worker.hostname} />
        </h3>
        <Badge worker={worker} />
      </div>
      <div class="worker-id mono">
        <Name text={worker.workerId} />
        <CopyButton compact label="Copy the id" text={worker.workerId} />
      </div>
      <Standing worker={worker} />
      <dl class="worker-facts">
        <Fact name="Slots"><Slots worker={worker} /></Fact>
        <Fact name="Job"><CurrentJob worker={worker} /></Fact>
        <Fact name="Load"><Load worker={worker} /></Fact>
        <Fact name="Memory"><Memory worker={worker} /></Fact>
        <Fact name="System"><System worker={worker} /></Fact>
        <Fact name="Version"><Version worker={worker} /></Fact>
      </dl>
      <Labels worker={worker} />
      <Day worker={worker} activity={activity} />
      <div class="worker-foot">
        <span class="faint figure">
          Seen <Time ms={worker.lastHeartbeat} />
        </span>
        <DrainButton worker={worker} changed={changed} />
      </div>
    </li>
  );
}, same);

export function Cards({ workers, activity, changed }: ListProps) {
  return (
    <ul class="worker-cards">
      {workers.map((worker) => (
        <Card key={worker.workerId} worker={worker} activity={activity} changed={changed} />
      ))}
    </ul>
  );
}

const Row = memo(function Row({ worker, activity, changed }: OneProps) {
  return (
    <tr>
      <th scope="row">
        <Name text={worker.hostname} />
        <div class="worker-id mono"><Name text={worker.workerId} /></div>
        <Labels worker={worker} most={2} />
      </th>
      <td>
        <Badge worker={worker} />
        <Standing worker={worker} />
        <div class="worker-seen faint figure">seen <Time ms={worker.lastHeartbeat} /></div>
      </td>
      <td class="worker-slots"><Slots worker={worker} /></td>
      <td><CurrentJob worker={worker} /></td>
      <td>
        <div><Load worker={worker} /></div>
        <div><Memory worker={worker} /></div>
      </td>
      {activity ? <td><Day worker={worker} activity={activity} /></td> : null}
      <td class="worker-system">
        <System worker={worker} />
        <div class="faint"><Version worker={worker} /></div>
      </td>
      <td><DrainButton worker={worker} changed={changed} /></td>
    </tr>
  );
}, same);

export function Table({ workers, activity, changed }: ListProps) {
  return (
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- what scrolls sideways must be reached by keyboard
    <div class="panel worker-table" role="region" aria-label="Table of workers" tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">Worker</th>
            <th scope="col">State</th>
            <th scope="col">Slots</th>
            <th scope="col">Job</th>
            <th scope="col">Load, memory</th>
            {activity ? <th scope="col">Last 24 hours</th> : null}
            <th scope="col">System</th>
            <th scope="col"><span class="hidden">Drain or resume</span></th>
          </tr>
        </thead>
        <tbody>
          {workers.map((worker) => (
            <Row key={worker.workerId} worker={worker} activity={activity} changed={changed} />
          ))}
        </tbody>
      </table>
    </div>
  );
}
