// The broker, its disk, and its gateways.

import type { GatewayEntry, Info } from "../../api/types";
import { bytes, count, duration } from "../../lib/format";
import { Notice, Time } from "../../ui/basics";
import { Icon } from "../../ui/icon";
import { disk, diskTrouble, percent, sortedGateways } from "./figures";

const size = (value: number | null | undefined): string => (value === null || value === undefined ? "–" : bytes(value));

function Broker({ info }: { info: Info }) {
  return (
    <section class="panel" aria-labelledby="ov-broker">
      <h2 id="ov-broker">Broker</h2>
      <dl class="ov-facts">
        <div>
          <dt>Version</dt>
          <dd>{info.version}</dd>
        </div>
        <div>
          <dt>Up for</dt>
          <dd>{duration(info.uptimeMs)}</dd>
        </div>
        <div>
          <dt>Jobs kept</dt>
          <dd>{count(info.totalJobs)}</dd>
        </div>
        <div>
          <dt>Room for new jobs</dt>
          <dd class={info.diskFull ? "ov-bad" : "ov-good"}>
            <Icon name={info.diskFull ? "cross" : "check"} />
            {info.diskFull ? "none, disk full" : "yes"}
          </dd>
        </div>
        <div>
          <dt title="Messages that the broker could not read, since its start">Refused messages</dt>
          <dd>{count(info.refusedFrames)}</dd>
        </div>
      </dl>
    </section>
  );
}

function DiskPanel({ info }: { info: Info }) {
  const found = disk(info);
  const trouble = diskTrouble(info);
  return (
    <section class="panel" aria-labelledby="ov-disk">
      <h2 id="ov-disk">Disk</h2>
      {found ? (
        <>
          <div class={trouble ? "ov-bar ov-disk ov-bar-bad" : "ov-bar ov-disk"} role="meter" aria-label="Disk used" aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(found.share)} aria-valuetext={`${percent(found.used, found.bytes)} used`}>
            <span style={{ width: `${found.share}%` }} />
          </div>
          <p class="ov-disk-words">
            <b>{percent(found.used, found.bytes)}</b> used, {bytes(found.free)} free of {bytes(found.bytes)}
          </p>
        </>
      ) : (
        <p class="faint">This broker does not say how full its disk is.</p>
      )}
      <dl class="ov-facts">
        <div>
          <dt>Uploads and artifacts</dt>
          <dd>{size(info.blobBytes)}</dd>
        </div>
        <div>
          <dt>Output of jobs</dt>
          <dd>{size(info.outputBytes)}</dd>
        </div>
      </dl>
    </section>
  );
}

function Gateway({ one }: { one: GatewayEntry }) {
  return (
    <tr>
      <th scope="row">
        <span class="mono">{one.listen ?? "–"}</span>
        <span class="ov-id mono" title={one.gatewayId}>{one.gatewayId}</span>
      </th>
      <td data-label="Version">{one.version ?? "–"}</td>
      <td class="ov-number" data-label="Up for">{one.uptimeMs ? duration(one.uptimeMs) : "–"}</td>
      <td class="ov-number" data-label="Connections">{one.connections === null || one.connections === undefined ? "–" : count(one.connections)}</td>
      <td class="ov-number" data-label="Seen">
        <Time ms={one.lastSeen} />
      </td>
    </tr>
  );
}

function Gateways({ gateways }: { gateways: GatewayEntry[] | null | undefined }) {
  return (
    <section class="panel ov-gateways" aria-labelledby="ov-gateways">
      <h2 id="ov-gateways">
        Gateways {gateways?.length ? <span class="faint figure">{count(gateways.length)}</span> : null}
      </h2>
      {!gateways ? <p class="faint">This broker does not keep a list of its gateways.</p> : null}
      {gateways?.length === 0 ? <p class="faint">No gateway has said hello in the last minute. A new one shows within ten seconds.</p> : null}
      {gateways?.length ? (
        // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- what scrolls must be reachable by keys
        <div class="ov-scroll" role="region" aria-label="Gateways" tabIndex={0}>
          <table>
            <thead>
              <tr>
                <th scope="col">Listens at</th>
                <th scope="col">Version</th>
                <th scope="col" class="ov-number">Up for</th>
                <th scope="col" class="ov-number">Connections</th>
                <th scope="col" class="ov-number">Seen</th>
              </tr>
            </thead>
            <tbody>
              {sortedGateways(gateways).map((one) => (
                <Gateway key={one.gatewayId} one={one} />
              ))}
            </tbody>
          </table>
        </div>
      ) : null}
    </section>
  );
}

export function Health({ info }: { info: Info }) {
  return (
    <div class="ov-health">
      <Broker info={info} />
      <DiskPanel info={info} />
      <Gateways gateways={info.gateways} />
    </div>
  );
}

/** The warning above everything else, when the disk is full or nearly so. */
export function DiskWarning({ info }: { info: Info }) {
  const trouble = diskTrouble(info);
  if (!trouble) return null;
  return (
    <Notice kind={info.diskFull ? "error" : "warning"} title={trouble}>
      Delete what is not needed on that disk, or let the broker keep jobs for a shorter time.
    </Notice>
  );
}
