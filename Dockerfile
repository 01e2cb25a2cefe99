# syntax=docker/dockerfile:1
FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# The sources run as they are; the local Postgres of development is an optional dependency and stays out.
RUN npm install --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund
COPY scripts/sbom.ts ./scripts/
RUN node scripts/sbom.ts > sbom.json

FROM node:24-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=dependencies /app/sbom.json ./
COPY package.json ./
COPY migrations ./migrations
COPY scripts/adopt-log.ts scripts/doctor.ts scripts/migrate.ts scripts/verify-log.ts ./scripts/
COPY src ./src
USER node
EXPOSE 4000
# Liveness only: a database outage must not restart the service.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT||4000}/api/livez`).then((r)=>process.exit(r.ok?0:1),()=>process.exit(1))"]
# No npm in between: signals reach the service, which drains. Without the limit V8 lets an idle service fill 100 MB with
# short-lived objects before it collects them.
CMD ["node", "--max-semi-space-size=4", "src/main.ts"]
