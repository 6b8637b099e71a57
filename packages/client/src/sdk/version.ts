/** Version of the client, as in its package.json; a test keeps the two equal. */
export const CLIENT_VERSION = '0.1.0'
