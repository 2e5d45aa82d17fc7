// Where `run` puts the viewers.
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const VIEWERS = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../target/viewer');
