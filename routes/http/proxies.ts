/** The proxies that STEPWELL_TRUSTED_PROXIES names. What they say of a request's origin is believed; nobody else's is. */
import { BlockList, isIPv6 } from "node:net";
import type { Settings } from "../../src/config.ts";

export type IsTrusted = (address: string) => boolean;

/** Whether an address is that of a trusted proxy; undefined if there are none. */
export function trustedProxies({ STEPWELL_TRUSTED_PROXIES: text }: Settings): IsTrusted | undefined {
  if (text === "") return undefined;
  const list = new BlockList();
  for (const proxy of text.split(",")) {
    const [address = "", bits] = proxy.trim().split("/");
    const family = familyOf(address);
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return (address) => {
    // The zone of a link-local address names an interface of this machine.
    const [plain = ""] = address.split("%");
    return list.check(plain, familyOf(plain));
  };
}

const familyOf = (address: string) => isIPv6(address) ? "ipv6" : "ipv4";
