// What NODE_USE_ENV_PROXY=1 does since Node.js 22.21, for earlier ones.
import { EnvHttpProxyAgent, setGlobalDispatcher } from "undici";

setGlobalDispatcher(new EnvHttpProxyAgent());
