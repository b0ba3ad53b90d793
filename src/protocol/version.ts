/** The version of everything that crosses a connection. Peers of different versions refuse each other by name. */
export const PROTOCOL_VERSION = 11;
